"""Reads damaged and unusual file systems."""

import random
import struct
import tracemalloc
import zlib
from array import array
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.squashfs import tables
from tools.squashfs.block_list import BlockList
from tools.squashfs.directory import Entry, write_listing
from tools.squashfs.format import (
    EXTENDED,
    NO_FRAGMENT,
    NO_TABLE,
    RAW_BLOCK,
    SUPERBLOCK_SIZE,
    Flag,
    InodeType,
    Superblock,
)
from tools.squashfs.inode import DeviceInode, DirectoryInode, FileInode, Inode, SymlinkInode
from tools.squashfs.metadata import MetadataWriter, pack_offsets, pack_table
from tools.squashfs.options import SquashfsOptions
from tools.squashfs.reader import read_squashfs
from tools.squashfs.writer import write_squashfs
from tools.testing.squashfs_images import BLOCK, LABEL, OPTIONS, file
from tools.tree.node import Directory, Fifo, walk

MIB = 1 << 20
COMMON: dict[str, Any] = {"permissions": 0o644, "uid": 0, "gid": 0, "mtime": 0, "number": 2}
DIRECTORY: dict[str, Any] = COMMON | {
    "type": InodeType.DIRECTORY,
    "start": 0,
    "offset": 0,
    "size": 0,
    "parent": 3,
    "links": 2,
}
FILE: dict[str, Any] = COMMON | {"type": InodeType.FILE, "start": SUPERBLOCK_SIZE, "size": 0}


def refused(image, message):
    with pytest.raises(UserError, match=r"^x: damaged SquashFS file system: .*; build it again$") as caught:
        read_squashfs(image, "x")
    assert message in str(caught.value)


def same(data):
    return data


def entry(name, offset, kind=6):
    return struct.pack("<HhHH", offset, 0, kind, len(name) - 1) + name


def listing(*entries):
    return struct.pack("<III", len(entries) - 1, 0, 1) + b"".join(entries)


def _names(count):
    return [b"%c" % (97 + number) if count < 26 else b"%03d" % number for number in range(count)]


def made(*inodes, listings=None, data=bytes(100), ends=b"", encode=same, size=None, **changes):
    """Returns a file system whose root is the first inode; by default it has the others as `a`, `b` and so on.

    Args:
        inodes: those besides the root, packed.
        listings: the directory table, of which the root's listing is the first.
        data: what stands before the inodes.
        ends: the table of fragments.
        encode: compresses blocks of metadata.
        size: of the root's listing; by default the whole table.
        changes: to the superblock.
    """
    content = listings or b""
    for _ in range(2):  # the first time to know the size of the root's listing
        writer, names = MetadataWriter(encode), MetadataWriter(encode)
        writer.append(DirectoryInode(**DIRECTORY | {"size": len(content) if size is None else size}).pack())
        found = [(name, writer.append(inode)) for name, inode in zip(_names(len(inodes)), inodes, strict=True)]
        kinds = [struct.unpack_from("<H", inode)[0] for inode in inodes]
        types = [InodeType((kind - 1) % EXTENDED + 1) for kind in kinds]
        entries = [Entry(name, reference, 1, kind) for (name, reference), kind in zip(found, types, strict=True)]
        if listings is None:
            content = bytes(write_listing(entries, names).size)
        else:
            names.append(listings)
    parts = bytearray(data)
    begin = SUPERBLOCK_SIZE
    inode_table = begin + len(parts)
    parts += writer.finish()
    directory_table = begin + len(parts)
    parts += names.finish()
    tables = []
    for content in (ends, struct.pack("<I", 0)):
        blocks, offsets = pack_table(content, begin + len(parts), same)
        parts += blocks
        tables.append(begin + len(parts))
        parts += pack_offsets(offsets)
    superblock = Superblock(
        inodes=1000,
        time=0,
        block_size=BLOCK,
        fragments=len(ends) // 16,
        compression=1,
        flags=Flag.RAW_INODES,
        ids=1,
        root=0,
        bytes_used=begin + len(parts),
        id_table=tables[1],
        xattr_table=NO_TABLE,
        inode_table=inode_table,
        directory_table=directory_table,
        fragment_table=tables[0],
        export_table=NO_TABLE,
    )
    return Image.from_bytes(replace(superblock, **changes).pack() + bytes(parts))


def blocks(*sizes):
    return BlockList(len(sizes), array("Q", range(len(sizes))), array("I", sizes))


def inode(**changes):
    return Inode(**COMMON | {"type": InodeType.FIFO} | changes).pack()


def test_what_is_made_is_read():
    symlink = SymlinkInode(**COMMON, type=InodeType.SYMLINK, target=b"t").pack()
    device = DeviceInode(**COMMON, type=InodeType.BLOCK_DEVICE, device=0x803).pack()
    whole = FileInode(**FILE | {"size": 5, "blocks": blocks(5 | RAW_BLOCK)}).pack()
    fragment = FileInode(**FILE | {"size": 5, "fragment": 0, "offset": 90}).pack()
    fragments = struct.pack("<QII", SUPERBLOCK_SIZE, 100 | RAW_BLOCK, 0)
    data = bytes(range(100))
    root = read_squashfs(made(inode(), symlink, device, whole, fragment, ends=fragments, data=data)).root
    assert root.entries[b"b"].target == b"t"
    assert (root.entries[b"c"].major, root.entries[b"c"].minor) == (8, 3)
    assert root.entries[b"d"].content.read(0, 5) == data[:5]
    assert root.entries[b"e"].content.read(0, 5) == data[90:95]


def test_without_fragments_their_table_may_have_no_offset():
    """As in images of squashfs-tools-ng, with an export table and without one."""
    tree = Directory(entries={b"%d" % number: Fifo() for number in range(1000)})
    image = write_squashfs(tree, OPTIONS)
    superblock = Superblock.parse(image.read(0, SUPERBLOCK_SIZE))
    head = replace(superblock, fragment_table=NO_TABLE).pack()
    changed = Image.from_bytes(head + image.read(SUPERBLOCK_SIZE, image.size - SUPERBLOCK_SIZE))
    assert list(read_squashfs(changed).root.entries) == [name for name, _ in tree.sorted_entries()]
    assert list(read_squashfs(made(inode(), fragment_table=NO_TABLE)).root.entries) == [b"a"]


def test_no_squashfs():
    for data in (b"", b"hsqs", bytes(4096)):
        with pytest.raises(UserError, match=r"^x: not a SquashFS file system$"):
            read_squashfs(Image.from_bytes(data), "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bytes_used": 10**6}, "it should have 1000000 bytes, but the image has"),
        ({"bytes_used": 96}, "it should have 96 bytes"),
        ({"block_size": 1 << 21}, "the block size 2097152 is impossible"),
        ({"block_size": 2048}, "the block size 2048 is impossible"),
        ({"inode_table": 1 << 40}, "there is no block of metadata at byte 1099511627776"),
        ({"inode_table": 100}, "has the impossible size 0"),
        ({"root": 9000}, "has no byte 9000"),
        ({"root": 1 << 40}, "there is no block of metadata"),
        ({"id_table": 1 << 40}, "the index of a table at byte 1099511627776 is outside of the file system"),
        ({"ids": 2}, "has 4 bytes, not 8"),
        ({"fragments": 10}, "the block of metadata at byte 279 has the impossible size"),
        ({"xattr_table": 1 << 40}, "the table of extended attributes is outside of the file system"),
        ({"inodes": 0}, "there are more inodes than 0"),
        ({"inodes": 1}, "there are more inodes than 1"),
    ],
)
def test_superblock(changes, message):
    refused(made(inode(), **changes), message)


def test_version():
    image = made(inode())
    data = bytearray(image.read(0, image.size))
    data[28] = 3
    refused(Image.from_bytes(bytes(data)), "version 3.0 is not supported, only 4.0")


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (b"\0" * 32, "its type 0 is unknown"),
        (b"\x0f" + b"\0" * 31, "its type 15 is unknown"),
        (inode(uid=1), "an inode has the owner number 1, but there are 1"),
        (inode(xattrs=0), "there are no extended attributes of the number 0"),
        (SymlinkInode(**COMMON, type=InodeType.SYMLINK, target=b"").pack(), "symbolic link has the impossible size 0"),
        (SymlinkInode(**COMMON, type=InodeType.SYMLINK, target=b"a\0").pack(), "a target with a NUL"),
        (inode()[:18], "there is no block of metadata"),
        (FileInode(**FILE | {"size": 2**63}).pack(), "there is no block of metadata"),
        (FileInode(**FILE | {"size": 5, "blocks": blocks(10**6)}).pack(), "blocks outside"),
        (FileInode(**FILE | {"size": 5, "start": 10**6, "blocks": blocks(5)}).pack(), "blocks outside"),
        (FileInode(**FILE | {"size": 5, "blocks": blocks(RAW_BLOCK)}).pack(), "blocks outside"),
        (FileInode(**FILE | {"size": 5, "fragment": 0}).pack(), "its end in the fragment 0, which isn't there"),
        (DirectoryInode(**DIRECTORY | {"size": 5}).pack(), "/a (inode 2): the listing ends within a header"),
        (DirectoryInode(**DIRECTORY | {"size": -3}).pack(), "the names of the listing|hard link|no block|size"),
    ],
)
def test_inodes(piece, message):
    with pytest.raises(UserError, match="damaged SquashFS") as caught:
        read_squashfs(made(piece), "x")
    assert any(each in str(caught.value) for each in message.split("|"))


def test_fragment_outside():
    end = FileInode(**FILE | {"size": 5, "fragment": 0}).pack()
    refused(made(end, ends=struct.pack("<QII", 10**6, 5, 0)), "fragment 0 is outside of the file system")


def test_damage_in_contents_is_found_when_they_are_read():
    whole = FileInode(**FILE | {"size": 5, "blocks": blocks(5)}).pack()
    short = FileInode(**FILE | {"size": 5, "fragment": 0, "offset": 98}).pack()
    fragments = struct.pack("<QII", SUPERBLOCK_SIZE, 100 | RAW_BLOCK, 0)
    entries = read_squashfs(made(whole, short, ends=fragments), "x").root.entries
    with pytest.raises(UserError, match=r"^x: damaged .* the block of data at byte 96: it cannot be decompressed"):
        entries[b"a"].content.read(0, 5)
    with pytest.raises(UserError, match=r"^x: .* the block of data at byte 96 has 100 bytes, less than its files"):
        entries[b"b"].content.read(0, 5)


def test_cycles():
    refused(made(listings=listing(entry(b"a", 0, 1))), "/a is a hard link to a directory")
    own = listing(entry(b"a", 32, 1))
    below = DirectoryInode(**DIRECTORY | {"size": len(own), "offset": len(own)}).pack()
    refused(made(below, listings=own * 2, size=len(own)), "/a/a is a hard link to a directory")


def test_types_of_entries():
    """Linux takes the type of an entry for that of its inode."""
    for kind in range(1, 8):
        image = made(inode(), listings=listing(entry(b"a", 32, kind)))
        if kind == InodeType.FIFO:
            assert list(read_squashfs(image).root.entries) == [b"a"]
        else:
            refused(image, f"/a has the type {kind} in its directory, but its inode is of another")
    linked = listing(entry(b"a", 32), entry(b"b", 32, InodeType.SOCKET))
    refused(made(inode(), listings=linked), "/b has the type 7 in its directory, but its inode is of another")


@contextmanager
def memory(most):
    """Fails the test if the block takes more memory, in bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def limited(image, message, most=8 * MIB):
    """Fails the test unless the image is refused before much memory is taken."""
    with memory(most):
        refused(image, message)


def test_overlapping_listings_are_not_read_many_times():
    """The directories in the root have the same listing, which stands behind the root's."""
    own = listing(*(entry(b"%03d" % number, 32 + 32 * number, 1) for number in range(200)))
    groups = [[entry(b"%02d%03d" % (group, number), 32 + 32 * 200) for number in range(256)] for group in range(19)]
    shared = b"".join(listing(*group) for group in groups)
    place = {"size": len(shared), "offset": len(own)}
    directories = [DirectoryInode(**DIRECTORY | place | {"number": number + 2}).pack() for number in range(200)]
    image = made(*directories, inode(), listings=own + shared, size=len(own))
    limited(image, "structures in the metadata from byte 6650 on overlap")


def test_overlapping_lists_of_blocks_are_not_kept_many_times():
    """Lists of blocks that are the same become small when they are compressed."""
    count = 15_000
    one = FileInode(**FILE | {"size": count * BLOCK, "blocks": blocks(*[1 | RAW_BLOCK] * count)}).pack()
    data = random.Random(1).randbytes(count + 1)
    assert read_squashfs(made(one, data=data)).root.entries[b"a"].content.data_size == count * BLOCK
    limited(made(*[one] * 10, data=data, encode=zlib.compress), "more blocks than there is data in the image")


def alternating(count, size):
    """Returns the list of so many blocks of a stored size, and a hole after each."""
    return BlockList(2 * count, array("Q", range(0, 2 * count, 2)), array("I", [size] * count))


def test_blocks_of_a_byte_between_holes_are_not_kept_many_times():
    """Each is a run of its own, which takes some hundred bytes."""
    count = 20_000
    one = FileInode(**FILE | {"size": 2 * count * BLOCK, "blocks": alternating(count, 1 | RAW_BLOCK)}).pack()
    image = made(one, data=bytes(count), encode=zlib.compress)
    limited(image, "more blocks than there is data in the image", 6 * MIB)


@pytest.mark.parametrize("name", ["zstd", "gzip"])
def test_blocks_that_compress_well_may_stand_between_holes(name):
    count = 8000
    data = Data(b"x" * BLOCK)
    content = Image(2 * count * BLOCK, [Extent(2 * at * BLOCK, BLOCK, data) for at in range(count)])
    tree = Directory(entries={b"a": file(b"")})
    tree.entries[b"a"].content = content
    image = write_squashfs(tree, SquashfsOptions(compression=name, level=1, block_size=BLOCK))
    assert read_squashfs(image).root.entries[b"a"].content.data_size == count * BLOCK


@pytest.mark.parametrize("xattrs", [{}, LABEL])
def test_inodes_and_attributes_take_more_than_their_bytes(monkeypatch, xattrs):
    tree = Directory(entries={b"%d" % number: Fifo() for number in range(1000)})
    for number, node in enumerate(tree.entries.values()):
        node.xattrs = xattrs and xattrs | {b"user.n": b"%d" % number}
    image = write_squashfs(tree, SquashfsOptions(compression="none"))
    assert len(read_squashfs(image).root.entries) == 1000
    monkeypatch.setattr(tables, "_SPARE", 0)
    monkeypatch.setattr(tables, "_RATIO", 2)
    refused(image, "more metadata than an image of this size can have")


def test_large_holes_take_little_memory():
    tree = Directory(entries={b"%d" % number: file(b"") for number in range(3)})
    for number in range(3):
        tree.entries[b"%d" % number].content = Image((1 << 36) - number, [Extent(5 << 20, 10, Data(b"x" * 10))])
    image = write_squashfs(tree, OPTIONS)
    assert image.data_size < MIB
    with memory(2 * MIB):
        root = read_squashfs(image).root
    assert root.entries[b"1"].content.read(5 << 20, 11) == b"x" * 10 + b"\0"


def test_bytes_that_are_not_zero_change_nothing_or_are_refused():
    """Each byte of metadata in turn; a reader of a damaged file system ends with an error of one line or a tree."""
    entries = {b"f": file(b"x" * 5000, xattrs=LABEL), b"d": Directory(entries={b"g": Fifo()})}
    image = write_squashfs(Directory(entries=entries), SquashfsOptions(compression="none"))
    data = bytes(image.read(0, image.size))
    refusals = []
    for at in [*range(SUPERBLOCK_SIZE), *range(SUPERBLOCK_SIZE + 5000, image.data_size)]:
        damaged = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        try:
            for _, node in walk(read_squashfs(Image.from_bytes(damaged), "x").root):
                if hasattr(node, "content") and node.content.size < MIB:
                    node.content.read(0, node.content.size)
        except UserError as error:
            refusals.append(str(error))
    assert len(refusals) > 100
    assert [message for message in refusals if "\n" in message or not message.startswith("x: ")] == []


def test_siblings_below_a_long_path_share_it():
    root = deepest = Directory()
    for _ in range(200):
        deepest.entries[b"d" * 255] = deepest = Directory()
    deepest.entries |= {str(number).encode(): Directory() for number in range(1000)}
    image = write_squashfs(root, OPTIONS)
    with memory(10 * MIB):  # 1000 paths of 51,200 bytes are 49 MiB
        read_squashfs(image)


def test_no_fragment_is_the_largest_number():
    assert FileInode(**FILE).fragment == NO_FRAGMENT
