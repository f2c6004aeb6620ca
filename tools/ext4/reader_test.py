"""Tests the reader on damaged file systems and on other data."""

import struct
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.ext4.format.constants import Compat, Incompat, feature_names
from tools.ext4.format.directory import Entry, pack_block
from tools.ext4.format.extent_tree import Mapping, pack_root, pack_tree
from tools.ext4.format.superblock import Superblock
from tools.ext4.reader import read_ext4
from tools.ext4.writer import write_ext4
from tools.image.extents import Data, Extent, Image
from tools.testing.ext4_images import ID, MIB, file, options
from tools.tree.node import Device, Directory, Fifo, File, Symlink, walk

LABEL = {b"security.selinux": b"system_u:object_r:usr_t:s0\0"}


def sample(**parameters):
    sparse = Image(200_000, [Extent(3000 * number, 5, Data(b"12345")) for number in range(60)])
    tree = Directory(
        entries={
            b"large": Directory(entries={b"%04d" % number: Fifo() for number in range(200)}),
            b"sparse": File(content=sparse, xattrs=LABEL | {b"user.long": b"v" * 500}),
            b"file": file(b"x" * 3000),
            b"link": Symlink(target=b"t" * 100),
            b"short": Symlink(target=b"file"),
            b"device": Device(block=True, major=259, minor=1),
            b"dir": Directory(entries={b"dir": Directory(xattrs=LABEL)}),
        }
    )
    image = write_ext4(tree, options(MIB, block_size=1024, **parameters))
    return bytearray(image.read(0, image.size))


PLAIN = sample()
CHECKED = sample(metadata_csum=True)
USED = [offset for offset in range(1024, len(PLAIN)) if PLAIN[offset]]


def refused(data, message):
    with pytest.raises(UserError, match=message) as caught:
        read_ext4(Image.from_bytes(bytes(data)), "a.img")
    assert str(caught.value).startswith("a.img: ")
    assert "\n" not in str(caught.value)


def read_all(data):
    """Reads a tree and the contents of its files, except for those of 1 MiB and more."""
    for _, node in walk(read_ext4(Image.from_bytes(bytes(data)), "a.img").root):
        if isinstance(node, File) and node.content.size < MIB:
            node.content.read(0, node.content.size)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(USED), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_is_an_error_or_is_not_seen(changes):
    data = bytearray(PLAIN)
    for offset, value in changes:
        data[offset] = value
    with suppress(UserError):
        read_all(data)


@settings(max_examples=100)
@given(st.integers(1, MIB // 1024 - 1), st.integers(1, MIB // 1024 - 1))
def test_blocks_that_changed_places(one, other):
    data = bytearray(PLAIN)
    first, second = slice(one * 1024, one * 1024 + 1024), slice(other * 1024, other * 1024 + 1024)
    data[first], data[second] = data[second], data[first]
    with suppress(UserError):
        read_all(data)


@settings(max_examples=150)
@given(st.sampled_from([offset for offset in range(1024, len(CHECKED)) if CHECKED[offset]]), st.integers(1, 255))
def test_checksums_reveal_any_damage_that_is_read(offset, change):
    data = bytearray(CHECKED)
    data[offset] ^= change
    before = [(path, vars_of(node)) for path, node in walk(read_ext4(Image.from_bytes(bytes(CHECKED))).root)]
    try:
        after = [(path, vars_of(node)) for path, node in walk(read_ext4(Image.from_bytes(bytes(data))).root)]
    except UserError:
        return
    assert before == after  # contents, backup copies, bitmaps and free space are not verified


def vars_of(node):
    target = node.target if isinstance(node, Symlink) and len(node.target) < 60 else None
    return node.mode, node.uid, node.gid, node.mtime_ns, node.xattrs, target


@pytest.mark.parametrize("size", [0, 1024, 2047])
def test_too_small(size):
    refused(bytes(size), "too small for an ext4 file system")


def test_something_else():
    refused(bytes(4096), "not an ext2, ext3 or ext4 file system")


def test_truncated():
    refused(PLAIN[:-1024], "truncated: the ext4 file system has 1048576 bytes, but the image only 1047552")


def changed(data, **fields):
    superblock = Superblock.parse(bytes(data[1024:2048]))
    for name, value in fields.items():
        setattr(superblock, name, value)
    return data[:1024] + superblock.pack() + data[2048:]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"log_block_size": 6}, "a block size other than"),
        ({"first_block": 0}, "an impossible first block"),
        ({"blocks": 1}, "no blocks"),
        ({"blocks_per_group": 0}, "an impossible number of blocks in a group"),
        ({"blocks_per_group": 8193}, "an impossible number of blocks in a group"),
        ({"inodes_per_group": 0}, "an impossible number of inodes in a group"),
        ({"inode_size": 0}, "an impossible inode size"),
        ({"inode_size": 384}, "an impossible inode size"),
        ({"incompat": Incompat.BIT64, "descriptor_size": 1}, "an impossible descriptor size"),
        ({"inodes": 12345}, "a number of inodes that does not match its groups"),
    ],
)
def test_impossible_superblock(fields, message):
    refused(changed(PLAIN, **fields), f"damaged ext4 file system: the superblock has {message}")


def test_features():
    superblock = Superblock.parse(bytes(PLAIN[1024:2048]))
    assert feature_names(Compat, superblock.compat)[:2] == ["ext_attr", "dir_index"]
    assert feature_names(Incompat, superblock.incompat)[:1] == ["filetype"]
    recover = superblock.incompat | Incompat.RECOVER
    refused(changed(PLAIN, incompat=recover), "the journal needs recovery; run e2fsck")
    refused(changed(PLAIN, incompat=0x80010042), "unsupported features: encrypt, 0x80000000$")
    assert read_ext4(Image.from_bytes(bytes(changed(PLAIN, compat=0xFFFFFFFF & ~Compat.DIR_PREALLOC))))


def test_wrong_checksums_are_named():
    data = bytearray(CHECKED)
    data[1024 + 0x78] ^= 1
    refused(data, "the superblock has a wrong checksum")
    data = bytearray(CHECKED)
    data[2048] ^= 1
    refused(data, "descriptor of group 0 has a wrong checksum")


def with_root_block(entries):
    """Returns the sample with `entries` as its root directory's block."""
    inode = PLAIN.index(b"large") // 1024
    return PLAIN[: inode * 1024] + pack_block(entries, 1024, None) + PLAIN[(inode + 1) * 1024 :]


DOTS = [Entry(b".", 2, 2), Entry(b"..", 2, 2)]


def test_directories_that_contain_themselves():
    refused(with_root_block([*DOTS, Entry(b"loop", 2, 2)]), "/loop is a hard link to a directory")
    refused(with_root_block([*DOTS, Entry(b"a", 11, 2), Entry(b"b", 11, 2)]), "/b is a hard link to a directory")
    refused(with_root_block([*DOTS, Entry(b"a", 11, 2), Entry(b"a", 12, 2)]), "/a occurs twice in its directory")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Entry(b"a", 5000, 1), "inode 5000 does not exist"),
        (Entry(b"a", 7, 1), "inode 7 is not in use"),
        (Entry(b"a/b", 12, 1), "name has a slash or a NUL"),
        (Entry(b"", 12, 1), "name is empty"),
    ],
)
def test_impossible_entries(entry, message):
    refused(with_root_block([*DOTS, entry]), message)


def with_extents_of_root(pointer, size=1024):
    """Returns the sample with `pointer` as i_block of its root directory, and with `size` as its size."""
    data = bytearray(PLAIN)
    table = struct.unpack_from("<I", data, 2048 + 8)[0] * 1024
    data[table + 256 + 40 : table + 256 + 100] = pointer
    struct.pack_into("<I", data, table + 256 + 4, size)
    return data


def test_extents_that_never_end():
    loop, _ = pack_tree([Mapping(number, 900 + number, 1) for number in range(5)], [1000], 1024, None)
    node = bytearray(loop[:12].ljust(1024, b"\0"))
    struct.pack_into("<H", node, 4, 84)
    struct.pack_into("<H", node, 2, 84)
    for number in range(84):
        struct.pack_into("<II", node, 12 + 12 * number, number, 1000)
    data = with_extents_of_root(loop)
    data[1000 * 1024 : 1001 * 1024] = node
    refused(data, "inode 2: extent tree node of depth 1 instead of 0")
    data[1000 * 1024 : 1001 * 1024] = struct.pack("<HHHHI", 0xF30A, 0, 84, 0, 0).ljust(1024, b"\0")
    refused(data, "inode 2: empty extent tree node")
    refused(with_extents_of_root(struct.pack("<HHHHI", 0xF30A, 1, 4, 6, 0).ljust(60, b"\0")), "extent tree of depth 6")


@pytest.mark.parametrize(
    ("mappings", "message"),
    [
        ([Mapping(0, 1024, 1)], "blocks outside of the file system"),
        ([Mapping(0, 2**48 - 1, 1)], "blocks outside of the file system"),
        ([Mapping(0, 0, 1)], "blocks outside of the file system"),
        ([Mapping(0, 100, 900), Mapping(900, 100, 900)], "or more than it has"),
        ([Mapping(5, 100, 1), Mapping(4, 100, 1)], "extent of block 4 is out of order"),
        ([Mapping(5, 100, 2), Mapping(6, 100, 1)], "extent of block 6 is out of order"),
        ([Mapping(0, 100, 0)], "extent of block 0 is out of order"),
        ([Mapping(1, 100, 1)], "/ .inode 2.: size 1024 does not match its blocks"),
        ([], "/ .inode 2.: size 1024 does not match its blocks"),
        ([Mapping(0, 1000, 1)], "/ .inode 2.: directory entry at 0 has the impossible size 0"),
    ],
)
def test_impossible_extents(mappings, message):
    refused(with_extents_of_root(pack_root(mappings)), message)


def test_times_of_the_superblock_have_more_than_32_bits():
    superblock = read_ext4(write_ext4(Directory(), options(MIB, timestamp=2**33 + 5))).superblock
    assert superblock.creation_time == superblock.write_time == superblock.last_check == 2**33 + 5


def test_reads_what_it_refers_to_lazily():
    class Untouchable:
        def read(self, offset, length):
            raise AssertionError("content was read")

        def advanced(self, offset):
            return self

    tree = Directory(entries={b"file": File(content=Image(MIB, [Extent(0, MIB, Untouchable())]))})
    found = read_ext4(write_ext4(tree, options(4 * MIB)))
    assert found.root.entries[b"file"].content.size == MIB
    assert found.superblock.uuid == ID.bytes


def copies(node, count=1500):
    """Returns a file system in which the inode of a node was copied over those of many files.

    The nodes of a tree share it as an attack would have it: without checksums, and with one name for each.
    """
    names = {b"b%04d" % number: Fifo() for number in range(count)}
    image = write_ext4(Directory(entries={b"a": node, **names}), options(2 * MIB, block_size=1024))
    data = bytearray(image.read(0, image.size))
    table = struct.unpack_from("<I", data, 2048 + 8)[0] * 1024
    original = table + 11 * 256
    for number in range(count):
        at = original + 256 * (number + 1 + (len(node.entries) if isinstance(node, Directory) else 0))
        data[at : at + 256] = data[original : original + 256]
    return data


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            File(content=Image(MIB, [Extent(2048 * number, 1, Data(b"1")) for number in range(400)])),
            "belongs to two directories or extent trees",
        ),
        (file(b"x" * 100_000), "has blocks outside of the file system, or more than it has"),
        (Directory(), "belongs to two directories or extent trees"),
        (
            file(b"", xattrs={b"user.%02d" % number: b"v" for number in range(30)} | {b"user.long": b"v" * 60}),
            "more attributes than the file system has room for",
        ),
    ],
    ids=["extent tree", "extent", "directory", "attributes"],
)
def test_what_inodes_share_costs_once(node, message):
    data = copies(node)
    tracemalloc.start()
    try:
        refused(data, message)
        assert tracemalloc.get_traced_memory()[1] < 6 * len(data)
    finally:
        tracemalloc.stop()


def test_attributes_that_inodes_share_cost_once():
    data = copies(file(b"", xattrs={b"user.%02d" % number: b"value" * 20 for number in range(8)}))
    root = read_ext4(Image.from_bytes(bytes(data))).root
    assert root.entries[b"a"].xattrs is root.entries[b"b1000"].xattrs


def test_directories_can_be_nested_deeply_but_not_without_end():
    def nested(depth):
        root = Directory()
        for _ in range(depth):
            root = Directory(entries={b"n" * 250: root})
        return write_ext4(root, options(2 * MIB, block_size=1024))

    assert len(list(walk(read_ext4(nested(200)).root))) == 202
    with pytest.raises(UserError, match="directories are nested deeper than paths of 65536 bytes"):
        read_ext4(nested(300))


def test_siblings_below_a_long_path_share_it():
    root = deepest = Directory()
    for _ in range(200):
        deepest.entries[b"d" * 255] = deepest = Directory()
    deepest.entries |= {str(number).encode(): Directory() for number in range(1000)}
    image = write_ext4(root, options(32 * MIB))
    tracemalloc.start()
    read_ext4(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MIB  # 1000 paths of 51,200 bytes are 49 MiB
