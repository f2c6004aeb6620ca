"""Checks superblocks, groups, inodes and the journal of written images with e2fsck, dumpe2fs and debugfs."""

import re
import uuid

import pytest

from tools.core.errors import UserError
from tools.ext4.writer import write_ext4
from tools.image.extents import Image
from tools.testing.ext4_images import GIB, ID, MIB, checked_image, debugfs, file, fsck, options
from tools.testing.oracles import ask
from tools.tree.node import Device, Directory, Fifo, File, Socket, Symlink


def facts(path):
    """Returns the fields of the superblock as dumpe2fs prints them."""
    lines = [line.partition(":") for line in ask("dumpe2fs", "-h", path).splitlines()]
    return {name: value.strip() for name, colon, value in lines if colon}


def test_dumpe2fs_agrees_with_the_parameters(tmp_path):
    parameters = options(
        3 * GIB + 1000,
        label="böot",
        hash_seed=uuid.UUID(int=7),
        inode_ratio=65536,
        reserved_percent=2.5,
        journal=True,
        journal_size=16 * MIB,
        metadata_csum=True,
        wide=True,
        timestamp=1700000000,
    )
    found = facts(checked_image(Directory(entries={b"a": file(b"x")}), parameters, tmp_path / "image"))
    expected = {
        "Filesystem volume name": "böot",
        "Filesystem UUID": str(ID),
        "Filesystem features": (
            "has_journal ext_attr dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink "
            "extra_isize metadata_csum"
        ),
        "Filesystem flags": "unsigned_directory_hash",
        "Default mount options": "user_xattr acl",
        "Filesystem state": "clean",
        "Inode count": "49152",
        "Block count": "786432",
        "Reserved block count": "19660",
        "Free inodes": str(49152 - 12),
        "First block": "0",
        "Block size": "4096",
        "Group descriptor size": "64",
        "Blocks per group": "32768",
        "Inodes per group": "2048",
        "Inode blocks per group": "128",
        "Flex block group size": "16",
        "Filesystem created": "Tue Nov 14 22:13:20 2023",
        "Last mount time": "n/a",
        "Mount count": "0",
        "Maximum mount count": "-1",
        "First inode": "11",
        "Inode size": "256",
        "Required extra isize": "32",
        "Journal inode": "8",
        "Default directory hash": "half_md4",
        "Directory Hash Seed": str(uuid.UUID(int=7)),
        "Journal backup": "inode blocks",
        "Checksum type": "crc32c",
        "Total journal blocks": "4096",
        "Journal start": "0",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert re.fullmatch("16M|16384k", found.get("Total journal size") or found["Journal size"])
    used = 2 + 1 + 4  # the root, the file and lost+found
    assert int(found["Free blocks"]) + int(found["Overhead clusters"]) + used - 1 == 786432


def test_plain_features_are_what_old_boot_loaders_read(tmp_path):
    found = facts(checked_image(Directory(), options(MIB), tmp_path / "image"))
    assert found["Filesystem features"] == (
        "ext_attr dir_index filetype extent flex_bg sparse_super large_file huge_file uninit_bg dir_nlink extra_isize"
    )
    assert found["Last checked"] == found["Last write time"] == "Thu Jan  1 00:00:00 1970"


def test_untouched_groups_have_no_bitmaps(tmp_path):
    tree = Directory(entries={b"a": file(b"x" * 50000)})
    image = write_ext4(tree, options(64 * GIB))
    assert image.data_size < MIB
    groups = ask("dumpe2fs", fsck(image, tmp_path / "image")).split("\nGroup ")[1:]
    assert len(groups) == 512
    flex_heads = [group for group in groups if "BLOCK_UNINIT" not in group.splitlines()[0]]
    assert len(flex_heads) == 512 // 16 + 1  # the first group of each flex group, and the last group
    assert sum("INODE_UNINIT" in group.splitlines()[0] for group in groups) == 511


def test_data_is_in_few_pieces():
    files = {b"%03d" % number: file(b"x" * 4096 * (number % 5)) for number in range(200)}
    image = write_ext4(Directory(entries=files), options(GIB))
    touching = zip(image.extents, image.extents[1:], strict=False)
    assert sum(one.end < other.offset - 4096 for one, other in touching) < 20


@pytest.mark.parametrize("inode_size", [128, 256, 1024])
def test_inodes_of_every_kind(tmp_path, inode_size):
    last = 2**31 - 1 if inode_size == 128 else 2**34 - 2**31 - 1
    tree = Directory(
        entries={
            b"file": file(b"x", permissions=0o6755, uid=2**32 - 2, gid=65536, mtime_ns=-(2**31) * 10**9),
            b"59": Symlink(target=b"t" * 59, mtime_ns=last * 10**9),
            b"60": Symlink(target=b"t" * 60),
            b"1023": Symlink(target=b"t" * 1023),
            b"old": Device(block=False, major=255, minor=255),
            b"new": Device(block=True, major=256, minor=0),
            b"last": Device(block=True, major=4095, minor=2**20 - 1),
            b"fifo": Fifo(permissions=0),
            b"socket": Socket(mtime_ns=10**18),
            b"sticky": Directory(permissions=0o1777),
        }
    )
    path = checked_image(tree, options(4 * MIB, block_size=1024, inode_size=inode_size), tmp_path / "image")
    assert "Fast link dest: " in debugfs(path, "stat /59")
    assert "Fast link dest: " not in debugfs(path, "stat /60")
    assert "Device major/minor number: 4095:1048575" in debugfs(path, "stat /last")
    assert re.search(r"User: +-2 +Group: 65536 ", debugfs(path, "stat /file"))


def test_nanoseconds_reach_every_time(tmp_path):
    tree = Directory(entries={b"file": file(b"x", mtime_ns=(2**32 + 5) * 10**9 + 123456789)})
    said = debugfs(checked_image(tree, options(MIB), tmp_path / "image"), "stat /file")
    extra = 123456789 << 2 | 1
    for time in ("ctime", "atime", "mtime", "crtime"):
        assert re.search(rf"^\s*{time}: 0x00000005:{extra:08x}", said, re.MULTILINE), said


def test_journal_has_no_holes(tmp_path):
    path = checked_image(Directory(), options(64 * MIB, block_size=1024, journal=True), tmp_path / "image")
    assert "Blockcount: 8192\n" in debugfs(path, "stat <8>")
    said = debugfs(path, "logdump -S")
    assert re.search(r"Journal size: +4096k|Total journal size: +4096k", said), said


def test_journal_size_out_of_range():
    with pytest.raises(UserError, match="journal size 4096 is not between 4194304 and 41943040000 bytes"):
        write_ext4(Directory(), options(64 * MIB, journal=True, journal_size=4096))


def test_lost_and_found_of_the_tree_is_kept(tmp_path):
    label = {b"security.selinux": b"system_u:object_r:lost_found_t:s0\0"}
    found = Directory(permissions=0o750, uid=5, xattrs=label, entries={b"#1234": file(b"found")})
    path = checked_image(Directory(entries={b"lost+found": found}), options(4 * MIB), tmp_path / "image")
    assert "Inode: 11 " in debugfs(path, "stat /lost+found")
    assert "Size: 16384\n" in debugfs(path, "stat /lost+found")
    with pytest.raises(UserError, match=r"^ext4: /lost\+found: this name is reserved for a directory"):
        write_ext4(Directory(entries={b"lost+found": Fifo()}), options(MIB))


def test_lost_and_found_with_an_index(tmp_path):
    entries = {b"#%05d" % number: Fifo() for number in range(1000)}
    tree = Directory(entries={b"lost+found": Directory(entries=entries)})
    checked_image(tree, options(4 * MIB), tmp_path / "image")


def test_same_bytes_for_the_same_tree():
    def tree(order):
        entries = {b"a": file(b"a"), b"b": Directory(entries={b"c": Fifo()}), b"d": file(b"d")}
        xattrs = {b"user.a": b"1", b"user.b": b"2"}
        return Directory(
            entries=dict(sorted(entries.items(), reverse=order)), xattrs=dict(sorted(xattrs.items(), reverse=order))
        )

    one, other = (write_ext4(tree(order), options(8 * MIB, journal=True)) for order in (False, True))
    assert one.read(0, one.size) == other.read(0, other.size)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (File(content=Image(2**44)), "size of 17592186044416 bytes is more than 17592186040320"),
        (File(content=Image(0), uid=-1), "owner -1:0 is not between 0 and 4294967294"),
        (File(content=Image(0), gid=2**32 - 1), "owner 0:4294967295 is not between"),
        (File(content=Image(0), permissions=0o100644), "permissions 0o100644 are more than 0o7777"),
        (
            File(content=Image(0), mtime_ns=2**34 * 10**9),
            "time 17179869184 is out of the range of inodes of 256 bytes",
        ),
        (Symlink(target=b""), "a symbolic link's target is empty or has a NUL"),
        (Symlink(target=b"a\0b"), "a symbolic link's target is empty or has a NUL"),
        (Symlink(target=b"t" * 4096), "a symbolic link's target of 4096 bytes is longer than 4095"),
        (Device(block=True, major=4096, minor=0), "device number 4096:0 is more than 4095:1048575"),
        (Directory(entries={b"n" * 256: Fifo()}), "name of 256 bytes is longer than 255"),
        (Directory(entries={b".": Fifo()}), "name is reserved for a directory itself or its parent"),
        (Directory(entries={b"a/b": Fifo()}), "name has a slash or a NUL"),
        (Directory(entries={b"": Fifo()}), "name is empty"),
    ],
)
def test_what_ext4_cannot_store_is_an_error_with_its_path(node, message):
    node.origin = "base.tar"
    for child in getattr(node, "entries", {}).values():
        child.origin = "base.tar"
    tree = Directory(entries={b"dir\n": Directory(entries={b"node": node})})
    with pytest.raises(UserError) as caught:
        write_ext4(tree, options(8 * MIB))
    assert str(caught.value).startswith(r"ext4: /dir\n/node")
    assert " (from base.tar): " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_directory_under_two_names_is_refused():
    twice = Directory()
    with pytest.raises(UserError, match=r"^ext4: /b: hard link to the directory /a is not possible$"):
        write_ext4(Directory(entries={b"a": twice, b"b": twice}), options(MIB))
    twice.entries[b"loop"] = twice
    with pytest.raises(UserError, match=r"^ext4: /a/loop: hard link to the directory /a is not possible$"):
        write_ext4(Directory(entries={b"a": twice}), options(MIB))
