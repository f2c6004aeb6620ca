"""Reads file systems that mke2fs writes, and compares them with the tree and with the writer's."""

import io
import re
import struct
import tarfile

import pytest
from hypothesis import given, settings

from tools.core.errors import UserError
from tools.ext4.format.constants import LOST_AND_FOUND
from tools.ext4.reader import read_ext4
from tools.ext4.writer import write_ext4
from tools.image.extents import Image
from tools.testing.ext4_images import ID, MIB, assert_holds, can_be_held, options, without_lost_and_found
from tools.testing.oracles import ask, oracle, unavailable
from tools.testing.trees import trees
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, Fifo, File, Symlink, walk

KINDS = {Directory: tarfile.DIRTYPE, Fifo: tarfile.FIFOTYPE, Symlink: tarfile.SYMTYPE, File: tarfile.REGTYPE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def mke2fs(folder):
    """Returns a function that makes a file system from a tar with mke2fs; skips the test if mke2fs cannot read tars."""
    version = re.search(r"mke2fs (\d+)\.(\d+)\.?(\d*)", ask("mke2fs", "-V"))
    if tuple(int(number or 0) for number in version.groups()) < (1, 47, 1):
        unavailable(f"{oracle('mke2fs')} is {version[0]}: install e2fsprogs 1.47.1 or newer")

    def make(tar, *arguments, blocks=65536, block_size=4096):
        (folder / "image").unlink(missing_ok=True)
        image = folder / "image"
        said = ask(
            "mke2fs", "-q", "-t", "ext4", "-b", str(block_size), "-U", str(ID), "-E", f"hash_seed={ID}",
            "-d", tar, *arguments, image, str(blocks), check=False,
        )  # fmt: skip
        if "libarchive" in said:
            unavailable("mke2fs cannot read tars: install libarchive13t64")
        assert said in ("", "128-byte inodes cannot handle dates beyond 2038 and are deprecated\n")
        return Image.from_file(image)

    return make


def write_tar(root, path):
    """Writes a tree, without extended attributes, as a tar in GNU format, which has names of arbitrary bytes."""
    first = {}
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for name, node in walk(root):
            info = tarfile.TarInfo("./" + name.decode("utf-8", "surrogateescape"))
            info.mode, info.uid, info.gid = node.permissions, node.uid, node.gid
            info.mtime = node.mtime_ns // 10**9
            if isinstance(node, Device):
                info.type = tarfile.BLKTYPE if node.block else tarfile.CHRTYPE
                info.devmajor, info.devminor = node.major, node.minor
            else:
                info.type = KINDS[type(node)]
            content = b""
            if not isinstance(node, Directory) and node in first:
                info.type, info.linkname = tarfile.LNKTYPE, first[node]
            elif isinstance(node, Symlink):
                info.linkname = node.target.decode("utf-8", "surrogateescape")
            elif isinstance(node, File):
                content = node.content.read(0, node.content.size)
                info.size = len(content)
            first[node] = info.name
            tar.addfile(info, io.BytesIO(content))
    return path


@settings(max_examples=25)
@given(trees(block=1024, most=30000, sockets=False, xattr_space=0, times=(0, (2**31 - 1) * 10**9)).filter(can_be_held))
def test_random_tree(folder, mke2fs, tree):
    for _, node in walk(tree):
        node.mtime_ns -= node.mtime_ns % 10**9
    theirs = read_ext4(mke2fs(write_tar(tree, folder / "tree.tar"), blocks=8192)).root
    ours = read_ext4(write_ext4(tree, options(32 * MIB))).root
    theirs.entries[LOST_AND_FOUND].mtime_ns = ours.entries[LOST_AND_FOUND].mtime_ns
    assert [str(difference) for difference in differences(ours, theirs)] == []


VARIANTS = [
    ["-O", "^metadata_csum"],
    ["-O", "metadata_csum_seed,orphan_file"],
    ["-O", "^has_journal,^64bit,^flex_bg"],
    ["-O", "meta_bg,^resize_inode", "-N", "1000"],
    ["-O", "meta_bg,^resize_inode,^sparse_super", "-N", "1000"],
    ["-O", "sparse_super2,^resize_inode"],
    ["-O", "large_dir,mmp"],
    ["-I", "128"],
    ["-I", "1024"],
]


@pytest.mark.parametrize("block_size", [1024, 4096])
@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
def test_features_that_the_reader_supports(folder, mke2fs, variant, block_size):
    names = [b"%05d " % number + b"x" * (number % 200) for number in range(800)]
    linked = File(content=Image.from_bytes(b"linked" * 3000), uid=70000, permissions=0o4711)
    tree = Directory(
        entries={
            b"many": Directory(entries={name: Fifo() for name in names}),
            b"device": Device(block=True, major=259, minor=70000),
            b"long": Symlink(target=b"t" * 1000),
            b"one": linked,
            b"other": linked,
            b"large": File(content=Image.from_bytes(bytes(range(1, 251)) * 40000)),
        }
    )
    tar = write_tar(tree, folder / "tree.tar")
    found = read_ext4(mke2fs(tar, *variant, blocks=(300 * MIB) // block_size, block_size=block_size))
    assert [str(difference) for difference in differences(tree, without_lost_and_found(found.root))] == []
    assert found.superblock.uuid_text == str(ID)
    assert_holds(write_ext4(found.root, options(100 * MIB)), found.root)


def test_capability(folder, mke2fs):
    value = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    tree = Directory(
        entries={
            b"file": File(content=Image.from_bytes(b"x"), xattrs={b"security.capability": value}, permissions=0o755)
        }
    )
    with tarfile.open(folder / "tree.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("file")
        info.size, info.mode = 1, 0o755
        info.pax_headers = {"SCHILY.xattr.security.capability": value.decode("latin-1")}
        tar.addfile(info, io.BytesIO(b"x"))
    found = read_ext4(mke2fs(folder / "tree.tar")).root
    assert found.entries[b"file"].xattrs == tree.entries[b"file"].xattrs
    assert read_ext4(write_ext4(tree, options(MIB))).root.entries[b"file"].xattrs == tree.entries[b"file"].xattrs


def test_unsupported_features_are_named(folder, mke2fs):
    tar = write_tar(Directory(), folder / "tree.tar")
    with pytest.raises(UserError, match="unsupported features: ea_inode, inline_data"):
        read_ext4(mke2fs(tar, "-O", "inline_data,ea_inode"))
    with pytest.raises(UserError, match="block map as in ext2"):
        read_ext4(mke2fs(tar, "-O", "^extent,^64bit"))
