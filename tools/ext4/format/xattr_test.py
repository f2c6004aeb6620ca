import re
import struct

import pytest

from tools.core.errors import UserError
from tools.ext4.writer import write_ext4
from tools.testing.ext4_images import MIB, checked_image, debugfs, file, options
from tools.tree.node import Directory, Fifo

ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [
        (1, 7, 2**32 - 1),
        (2, 6, 1000),
        (4, 5, 2**32 - 1),
        (8, 4, 70000),
        (16, 7, 2**32 - 1),
        (32, 0, 2**32 - 1),
    ]
)
LABEL = {b"security.selinux": b"system_u:object_r:usr_t:s0\0"}
BOTH = pytest.mark.parametrize("metadata_csum", [False, True])


@BOTH
@pytest.mark.parametrize("inode_size", [128, 256, 1024])
def test_every_namespace(tmp_path, inode_size, metadata_csum):
    xattrs = LABEL | {
        b"user.empty": b"",
        b"user." + b"n" * 200: bytes(range(255)),
        b"trusted.overlay.opaque": b"y",
        b"security.capability": struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0),
        b"system.posix_acl_access": ACL,
        b"user.\xff\x80": b"\x80" * 7,
    }
    tree = Directory(
        entries={b"file": file(b"x", xattrs=xattrs), b"dir": Directory(xattrs={b"system.posix_acl_default": ACL})}
    )
    parameters = options(4 * MIB, inode_size=inode_size, metadata_csum=metadata_csum)
    path = checked_image(tree, parameters, tmp_path / "image")
    said = debugfs(path, "ea_list /file")
    for name in ("security.selinux", "user.empty", "trusted.overlay.opaque", "system.posix_acl_access"):
        assert name in said
    where = debugfs(path, "stat /dir")
    assert ("File ACL: 0\n" in where) == (inode_size > 128)


def test_equal_attributes_share_blocks(tmp_path):
    tree = Directory(entries={b"%04d" % number: Fifo(xattrs=dict(LABEL)) for number in range(1500)})
    path = checked_image(tree, options(4 * MIB, inode_size=128), tmp_path / "image")
    blocks = [re.search(r"File ACL: (\d+)", debugfs(path, f"stat /{name}"))[1] for name in ("0000", "1023", "1024")]
    assert blocks[0] == blocks[1] != blocks[2]
    assert "Blockcount: 8\n" in debugfs(path, "stat /0000")


@BOTH
def test_attributes_around_what_fits(tmp_path, metadata_csum):
    # An inode has 256 - 128 - 32 - 4 - 4 bytes for attributes, a block 1024 - 32 - 4; an entry takes 16 and its name.
    tree = Directory(
        entries={
            b"inside": file(b"x", xattrs={b"user.abcd": b"v" * 68}),
            b"beside": file(b"x", xattrs={b"user.abcd": b"v" * 69}),
            b"full": file(b"x", xattrs={b"user.abcd": b"v" * 68, b"user.efgh": b"v" * 968}),
        }
    )
    parameters = options(4 * MIB, block_size=1024, metadata_csum=metadata_csum)
    path = checked_image(tree, parameters, tmp_path / "image")
    assert "File ACL: 0\n" in debugfs(path, "stat /inside")
    assert "File ACL: 0\n" not in debugfs(path, "stat /beside")
    tree.entries[b"full"].xattrs[b"user.efgh"] += b"v"
    with pytest.raises(
        UserError, match=r"^ext4: /full: extended attributes need 992 bytes outside of the inode, but a block"
    ):
        write_ext4(tree, parameters)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (b"other.a", b"", "extended attribute 'other.a' has a name that ext4 cannot store"),
        (b"user.", b"", "extended attribute 'user.' has a name that ext4 cannot store"),
        (b"system.data", b"", "extended attribute 'system.data' has a name that ext4 cannot store"),
        (b"user.a\0b", b"", "has a name that ext4 cannot store"),
        (b"user." + b"n" * 256, b"", "has a name longer than 255 bytes"),
        (b"user.a", b"v" * 4096, "extended attributes need 4116 bytes outside of the inode, but a block holds 4060"),
        (b"system.posix_acl_access", b"\1\0\0\0", "access control list is not of version 2"),
        (b"system.posix_acl_access", ACL[:-1], "access control list ends inside of an entry"),
        (b"system.posix_acl_access", ACL + struct.pack("<HHI", 3, 0, 0), "entry of unknown tag 3"),
    ],
)
def test_what_cannot_be_stored_is_an_error(name, value, message):
    tree = Directory(entries={b"dir": Directory(entries={b"file": file(b"", xattrs={name: value})})})
    with pytest.raises(UserError) as caught:
        write_ext4(tree, options(4 * MIB))
    assert str(caught.value).startswith("ext4: /dir/file: ")
    assert message in str(caught.value)
