"""Tests the reader on damaged file systems and on other data."""

import struct
import tracemalloc
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.erofs.directory import Entry, pack_directory
from tools.erofs.format import (
    CHUNK_INDEXES,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    Compat,
    Inode,
    Layout,
    Superblock,
)
from tools.erofs.reader import read_erofs
from tools.erofs.writer import write_erofs
from tools.image.extents import Data, Extent, Image
from tools.testing.erofs_images import BLOCK, LABEL, OPTIONS, file
from tools.tree.node import Device, Directory, Fifo, File, Symlink, walk

MIB = 1 << 20


def sample():
    sparse = Image(2_000_000, [Extent(30000 * number, 5, Data(b"12345")) for number in range(60)])
    tree = Directory(
        entries={
            b"large": Directory(entries={b"%04d" % number: Fifo() for number in range(400)}),
            b"sparse": File(content=sparse, xattrs=LABEL | {b"user.long": b"v" * 500}),
            b"file": file(b"x" * 9000, mtime_ns=5),
            b"link": Symlink(target=b"t" * 100),
            b"device": Device(block=True, major=259, minor=1),
            b"dir": Directory(xattrs=LABEL, entries={b"dir": Directory(xattrs=LABEL)}),
        }
    )
    image = write_erofs(tree, OPTIONS)
    return bytearray(image.read(0, image.size))


PLAIN = sample()
USED = [offset for offset in range(SUPERBLOCK_OFFSET, len(PLAIN)) if PLAIN[offset]]
CHECKED = range(SUPERBLOCK_OFFSET, BLOCK)


def refused(data, message):
    with pytest.raises(UserError, match=message) as caught:
        read_erofs(data if isinstance(data, Image) else Image.from_bytes(bytes(data)), "a.img")
    assert str(caught.value).startswith("a.img: ")
    assert "\n" not in str(caught.value)


def with_superblock(data, **fields):
    """Returns the image with changed fields of the superblock, which has no checksum then."""
    found = Superblock.parse(bytes(data[SUPERBLOCK_OFFSET:][:SUPERBLOCK_SIZE]))
    changed = replace(found, **({"feature_compat": found.feature_compat & ~Compat.SB_CHKSUM} | fields))
    return data[:SUPERBLOCK_OFFSET] + changed.pack() + data[SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE :]


def read_all(data):
    """Reads a tree and the contents of its files, except for those of 4 MiB and more."""
    for _, node in walk(read_erofs(Image.from_bytes(bytes(data)), "a.img").root):
        if isinstance(node, File) and node.content.size < 4 * MIB:
            node.content.read(0, node.content.size)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(USED), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_is_an_error_or_is_not_seen(changes):
    data = bytearray(with_superblock(PLAIN))
    for offset, value in changes:
        data[offset] = value
    with suppress(UserError):
        read_all(data)


@settings(max_examples=100)
@given(st.integers(1, len(PLAIN) // BLOCK - 1), st.integers(1, len(PLAIN) // BLOCK - 1))
def test_blocks_that_changed_places(one, other):
    data = bytearray(PLAIN)
    first, second = (slice(block * BLOCK, block * BLOCK + BLOCK) for block in (one, other))
    data[first], data[second] = data[second], data[first]
    with suppress(UserError):
        read_all(data)


@settings(max_examples=100)
@given(st.sampled_from(CHECKED), st.integers(1, 255))
def test_checksum_reveals_damage_of_the_first_block(offset, change):
    data = bytearray(PLAIN)
    data[offset] ^= change
    try:
        read_all(data)
    except UserError:
        return
    assert offset - SUPERBLOCK_OFFSET in range(8, 12)  # the flag that there is a checksum is among the bytes


@pytest.mark.parametrize("size", [0, 1024, 1151])
def test_too_small(size):
    refused(bytes(size), "not an EROFS file system")


def test_something_else():
    refused(bytes(8192), "not an EROFS file system")


def test_truncated():
    refused(PLAIN[:-BLOCK], f"truncated: the EROFS file system has {len(PLAIN)} bytes, but the image")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"block_bits": 8}, r"the block size 2\*\*8 is not possible"),
        ({"block_bits": 200}, r"the block size 2\*\*200 is not possible"),
        ({"feature_incompat": 0x6}, "unsupported features: compr_cfgs"),
        ({"feature_incompat": 0x180}, "unsupported features: 0x80, 0x100"),
        ({"extra_devices": 1}, "on several devices"),
        ({"blocks": 0}, "truncated"),
        ({"blocks": 2**32 - 1}, "truncated"),
        ({"root_nid": 65535}, "inode 65535 is outside of the file system"),
        ({"root_nid": 0}, "inode 0 is outside of the file system"),
        ({"metadata_block": 2**32 - 1}, "outside of the file system"),
        ({"xattr_block": 2**32 - 1}, "shared attribute outside of the file system"),
        ({"feature_compat": 1, "checksum": 0}, "wrong checksum"),
    ],
)
def test_superblock(fields, message):
    refused(with_superblock(PLAIN, **fields), message)


INODE = {"mode": 0o100644, "links": 1, "size": 0, "place": 0, "uid": 0, "gid": 0, "layout": Layout.FLAT_PLAIN}
DIRECTORY = INODE | {"mode": 0o40755, "layout": Layout.FLAT_INLINE}
CHUNKS = INODE | {"layout": Layout.CHUNK_BASED, "size": BLOCK}


def made(*pieces, blocks=3, chunks=True, entries=None, behind=b""):
    """Returns a file system of a directory with entries `a0000` and so on; their inodes are in block 2.

    Args:
        pieces: inode and what follows, one for each entry.
        blocks: size in blocks.
        chunks: whether there are chunks.
        entries: the content of the directory.
        behind: the content of block 3 and those after it, from which shared attributes are counted.
    """
    slots = BLOCK // SLOT_SIZE
    if entries is None:
        names = [Entry(b".", slots, 2), Entry(b"..", slots, 2)]
        at = 2 * slots
        for index, piece in enumerate(pieces):
            names.append(Entry(b"a%04d" % index, at, 1))
            at += -(-len(piece) // SLOT_SIZE)
        entries = pack_directory(names)
    body = b"".join(piece + bytes(-len(piece) % SLOT_SIZE) for piece in pieces).ljust(BLOCK, b"\0") + behind
    head = Superblock(
        root_nid=slots,
        inodes=1,
        blocks=blocks,
        metadata_block=0,
        xattr_block=3,
        uuid=bytes(16),
        feature_incompat=4 if chunks else 0,
    ).pack()
    root = Inode(**DIRECTORY | {"size": len(entries)}).pack() + entries
    data = bytes(SUPERBLOCK_OFFSET) + head.ljust(BLOCK - SUPERBLOCK_OFFSET, b"\0") + root.ljust(BLOCK, b"\0") + body
    return Image(blocks * BLOCK, [Extent(0, len(data), Data(data))])


def inode(**fields):
    return Inode(**INODE | fields).pack()


def test_made_file_systems_are_read():
    chunk = (2).to_bytes(4, "little")
    index = bytes(4) + chunk
    root = read_erofs(
        made(
            inode(),
            Inode(**CHUNKS).pack() + chunk,
            Inode(**CHUNKS | {"place": CHUNK_INDEXES}).pack() + index,
            Inode(**INODE | {"mtime": -5, "mtime_ns": 7, "links": 3}).pack(),
            inode(after_build=9),
        )
    ).root
    files = [node for _, node in walk(root)][1:]
    assert [node.content.size for node in files] == [0, BLOCK, BLOCK, 0, 0]
    assert files[1].content.read(0, BLOCK) == files[2].content.read(0, BLOCK) != bytes(BLOCK)
    assert (files[3].mtime_ns, files[4].mtime_ns) == (-5 * 10**9 + 7, 9 * 10**9)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (b"\x10\0".ljust(32, b"\0"), "inode 256: unknown format 0x10"),
        (b"\x0a\0".ljust(32, b"\0"), "inode 256: unknown format 0xa"),
        (inode(layout=Layout.COMPRESSED_FULL), "inode 256 is compressed, which is not supported"),
        (inode(mode=0o644), "inode 256 has the impossible mode 0o644"),
        (inode(size=1), "inode 256 has blocks outside of the file system"),
        (inode(size=5000, place=2), "inode 256 has blocks outside of the file system"),
        (inode(size=2**32 - 1, place=2**32 - 1), "inode 256 has blocks outside of the file system"),
        (inode(size=4065, layout=Layout.FLAT_INLINE), "inode 256 has a tail that leaves its block"),
        (inode(size=1, xattr_count=2000), "inode 256 has attributes outside of the file system"),
        (inode(mode=0o120777), "inode 256, a symbolic link, has the impossible size 0"),
        (inode(mode=0o120777, size=4096), "inode 256, a symbolic link, has the impossible size 4096"),
        (inode(mode=0o120777, size=1, layout=Layout.CHUNK_BASED), "a symbolic link, has the impossible size 1"),
        (inode(mode=0o40755, size=1, layout=Layout.CHUNK_BASED), "inode 256 has chunks, but is no file"),
        (inode(mode=0o40755, size=12, place=2), "begin at the impossible offset"),
        (inode(layout=Layout.CHUNK_BASED, place=64), "inode 256 has the unknown chunk format 0x40"),
        (Inode(**CHUNKS).pack() + bytes(4), "inode 256 has blocks outside of the file system"),
        (Inode(**CHUNKS | {"size": 49 * BLOCK}).pack() + b"\2\0\0\0" * 49, "or more than it has"),
        (Inode(**CHUNKS | {"place": CHUNK_INDEXES}).pack() + bytes(2) + b"\1\0\2\0\0\0", "on another device"),
        (Inode(**CHUNKS | {"size": 2**32 - 1}).pack(), "more metadata than there is data in the image"),
        (inode(xattr_count=1) + bytes(4) + b"\1" + bytes(7), "more shared attributes than there is room for"),
        (inode(xattr_count=2) + bytes(4) + b"\1" + bytes(7) + b"\xff" * 4, "shared attribute outside"),
    ],
)
def test_inodes(piece, message):
    refused(made(piece), message)


def test_chunks_need_their_feature():
    refused(made(Inode(**CHUNKS).pack() + b"\2\0\0\0", chunks=False), "unknown chunk format 0x0")


def test_order_and_repetition_of_names():
    dots = [Entry(b".", 128, 2), Entry(b"..", 128, 2)]
    swapped = pack_directory([*dots, Entry(b"b", 256, 1), Entry(b"a", 256, 1)])
    refused(made(inode(), entries=swapped), "a follows b, which is not in order")
    twice = pack_directory([*dots, Entry(b"a", 256, 1), Entry(b"a", 256, 1)])
    refused(made(inode(), entries=twice), "a follows a, which is not in order")


def test_cycles():
    refused(made(entries=pack_directory([Entry(b"a", 128, 2)])), "/a is a hard link to a directory")
    entries = pack_directory([Entry(b"a", 256, 2)])
    loop = Inode(**DIRECTORY | {"size": len(entries)}).pack() + entries
    refused(made(loop), "/a0000/a is a hard link to a directory")


def test_blocks_are_not_counted_many_times():
    """400 inodes of one file system's blocks: without a limit, the trees of an image multiply its size."""
    pieces = [inode(size=9 * BLOCK, place=1)] * 128
    refused(made(*pieces, blocks=10, chunks=False), "inode 257 has blocks outside of the file system, or more than it")


def limited(image):
    """Fails the test unless the image is refused before much memory is taken."""
    tracemalloc.start()
    refused(image, "have more metadata than there is data in the image")
    assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    tracemalloc.stop()


def test_overlapping_directories_are_not_read_many_times():
    content = pack_directory([Entry(b"%04d" % number, 256, 1) for number in range(200)])
    directory = Inode(**DIRECTORY | {"size": len(content), "layout": Layout.FLAT_PLAIN, "place": 3}).pack()
    few = read_erofs(made(inode(), *[directory] * 10, blocks=2**20, behind=content)).root
    assert len(list(walk(few))) == 1 + 1 + 10 * 201
    limited(made(inode(), *[directory] * 127, blocks=2**20, behind=content))


def test_overlapping_shared_attributes_are_not_read_many_times():
    overlapping = struct.pack("<BBH", 1, 1, 60000) * 20_000

    def image(count):
        ids = struct.pack(f"<IB7x{count}I", 0, count, *range(count))
        return made(inode(xattr_count=1 + count) + ids, blocks=2**20, behind=overlapping)

    assert read_erofs(image(2)).root.entries[b"a0000"].xattrs == {b"user.\1": overlapping[5:60005]}
    limited(image(100))


def test_siblings_below_a_long_path_share_it():
    root = deepest = Directory()
    for _ in range(200):
        deepest.entries[b"d" * 255] = deepest = Directory()
    deepest.entries |= {str(number).encode(): Directory() for number in range(1000)}
    image = write_erofs(root, OPTIONS)
    tracemalloc.start()
    read_erofs(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MIB  # 1000 paths of 51,200 bytes are 49 MiB
