"""Writes small trees, and asks fsck.erofs and dump.erofs about them."""

import random
import struct

import pytest

from tools.core.errors import UserError
from tools.erofs.format import SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock
from tools.erofs.options import ErofsOptions
from tools.erofs.reader import read_erofs
from tools.erofs.writer import write_erofs
from tools.image.extents import Data, Extent, FileRange, Image, InputFile
from tools.testing.erofs_images import BLOCK, ID, LABEL, OPTIONS, checked_image, dump, file
from tools.tree.node import Device, Directory, Fifo, File, Socket, Symlink


def superblock(image):
    return Superblock.parse(image.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE))


def refused(tree, message, options=OPTIONS):
    with pytest.raises(UserError, match=message):
        write_erofs(tree, options)


def test_superblock(tmp_path):
    tree = Directory(entries={b"a": file(b"x"), b"b": Fifo()})
    path = checked_image(tree, tmp_path / "image", ErofsOptions(uuid=ID, label="fifteen bytes!!"))
    said = dump(path, "-s")
    assert f"Filesystem UUID: {ID}" in said
    assert "Filesystem inode count: 3" in said
    assert "sb_csum mtime" in said
    found = superblock(Image.from_file(path))
    assert (found.label, found.blocks, found.inodes, found.root_nid) == (b"fifteen bytes!!", 2, 3, 128)


def test_every_type(tmp_path):
    linked = file(b"linked", uid=65536, gid=2**32 - 1)
    tree = Directory(
        permissions=0o1777,
        entries={
            b"block": Device(block=True, major=4095, minor=2**20 - 1),
            b"char": Device(block=False, major=1, minor=3, permissions=0o666),
            b"dir": Directory(entries={b"again": linked}, permissions=0o2750),
            b"fifo": Fifo(),
            b"link": Symlink(target=b"t" * 4095),
            b"linked": linked,
            b"short": Symlink(target=b"dir"),
            b"socket": Socket(),
        },
    )
    path = checked_image(tree, tmp_path / "image")
    assert "Links: 3 Layout: 2" in dump(path, "--path=/")
    assert "Inode size: 64" in dump(path, "--path=/linked")
    assert "Links: 2 " in dump(path, "--path=/dir/again")
    assert "Uid: 65536 Gid: 4294967295" in dump(path, "--path=/linked")
    assert "block dev" in dump(path, "--path=/block")
    assert "750/rwxr-x---" in dump(path, "--path=/dir")


@pytest.mark.parametrize(
    ("size", "layout", "blocks"),
    [(0, 0, 2), (1, 2, 2), (4064, 2, 3), (4065, 0, 3), (4096, 0, 3), (4097, 2, 3), (8191, 0, 4), (8192, 0, 4)],
)
def test_tails(tmp_path, size, layout, blocks):
    content = random.Random(size).randbytes(size)
    tree = Directory(entries={b"file": file(content)})
    path = checked_image(tree, tmp_path / "image")
    assert f"Layout: {layout} " in dump(path, "--path=/file")
    assert path.stat().st_size == blocks * BLOCK
    assert read_erofs(Image.from_file(path)).root.entries[b"file"].content.read(0, size) == content


def test_most_times_are_that_of_compact_inodes(tmp_path):
    entries = {b"%d" % number: Fifo(mtime_ns=1_700_000_000_123_456_789) for number in range(3)}
    tree = Directory(entries=entries | {b"other": Fifo(mtime_ns=-1), b"zero": Fifo()})
    path = checked_image(tree, tmp_path / "image")
    found = superblock(Image.from_file(path))
    assert (found.build_time, found.build_time_ns) == (1_700_000_000, 123_456_789)
    assert "Inode size: 32" in dump(path, "--path=/1")
    assert "Inode size: 64" in dump(path, "--path=/zero")
    assert "2023-11-14 22:13:20.123456789" in dump(path, "--path=/2")


def test_names_that_sort_before_a_dot(tmp_path):
    names = [b"!", b"-", b"..a", b"...", b"/"[:0] + b"\x01", b"a", b"\xff" * 255]
    checked_image(Directory(entries={name: Fifo() for name in names}), tmp_path / "image")


def test_large_directory(tmp_path):
    names = [f"{number:05} {'x' * (number % 240)}".encode() for number in range(20000)]
    names += [bytes([200 + number % 56]) * (number // 56 + 1) for number in range(1000)]
    tree = Directory(entries={b"large": Directory(entries={name: Symlink(target=name[:5]) for name in names})})
    path = checked_image(tree, tmp_path / "image")
    assert "symlink" in dump(path, f"--path=/large/{names[777].decode()}")


def test_attributes(tmp_path):
    capability = {b"security.capability": struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0)}
    big = {b"user.big": b"v" * 9000}
    tree = Directory(
        xattrs=LABEL,
        entries={
            b"big": file(b"tail", xattrs=LABEL | big),
            b"dir": Directory(xattrs=LABEL | {b"system.posix_acl_default": b"acl"}),
            b"ping": file(b"x" * 5000, xattrs=LABEL | capability),
        },
    )
    path = checked_image(tree, tmp_path / "image")
    assert path.read_bytes().count(LABEL[b"security.selinux"]) == 1
    assert "Layout: 0 " in dump(path, "--path=/big")
    assert "Xattr size: 16" in dump(path, "--path=/")


def test_many_shared_attributes_leave_the_first_block(tmp_path):
    sets = [{b"user.%d" % number: b"v" * 100} for number in range(100)]
    entries = {b"%d" % number: Fifo(xattrs=sets[number % 100]) for number in range(300)}
    path = checked_image(Directory(entries=entries), tmp_path / "image")
    found = superblock(Image.from_file(path))
    assert (found.metadata_block, found.root_nid) == (2, 128)


def test_sparse_files(tmp_path):
    content = Image(5 << 30, [Extent(0, 10, Data(b"0123456789")), Extent(3 << 30, 5000, Data(b"x" * 5000))])
    tree = Directory(entries={b"sparse": File(content=content), b"empty": File(content=Image((1 << 40) + 5))})
    path = checked_image(tree, tmp_path / "image")
    assert "Layout: 4 " in dump(path, "--path=/sparse")
    assert path.stat().st_size < 1 << 20
    found = read_erofs(Image.from_file(path)).root.entries[b"sparse"].content
    assert found.read((3 << 30) - 5, 5010) == bytes(5) + b"x" * 5000 + bytes(5)


def test_contents_are_ranges_of_their_files(tmp_path):
    (tmp_path / "data").write_bytes(b"y" * 10_000)
    source = InputFile(tmp_path / "data")
    content = Image(10_000, [Extent(0, 10_000, FileRange(source))])
    image = write_erofs(Directory(entries={b"file": File(content=content)}), OPTIONS)
    ranges = [extent for extent in image.extents if isinstance(extent.source, FileRange)]
    assert [extent.length for extent in ranges] == [10_000 % BLOCK, 2 * BLOCK]


def test_size(tmp_path):
    tree = Directory(entries={b"file": file(b"x" * 10_000)})
    image = write_erofs(tree, OPTIONS)
    assert image.size == 4 * BLOCK
    larger = write_erofs(tree, ErofsOptions(uuid=ID, size=1 << 40))
    assert larger.size == 1 << 40
    assert larger.read(BLOCK, image.size - BLOCK) == image.read(BLOCK, image.size - BLOCK)
    assert superblock(larger).blocks == (1 << 40) // BLOCK
    assert larger.data_size == image.data_size
    refused(tree, "does not fit in 12288 bytes; make the file system at least 16384", ErofsOptions(uuid=ID, size=12288))


def test_order_of_entries_is_of_no_matter():
    names = [b"%d" % number for number in range(100)]
    one = Directory(entries={name: file(name, xattrs=LABEL) for name in names})
    other = Directory(entries={name: file(name, xattrs=LABEL) for name in reversed(names)})
    images = [write_erofs(tree, OPTIONS) for tree in (one, other)]
    assert len({image.read(0, image.size) for image in images}) == 1


FIFO = Fifo()
SAME = Directory()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (Directory(entries={b".": FIFO}), r"^erofs: /\.: name is reserved"),
        (Directory(entries={b"a/b": FIFO}), "name has a slash"),
        (Directory(entries={b"n" * 256: FIFO}), "name of 256 bytes is longer than 255"),
        (Directory(entries={b"a": SAME, b"b": SAME}), "/b: hard link to a directory"),
        (Directory(entries={b"a": Directory(entries={b"l": Symlink(target=b"")})}), "/a/l: .* target is empty"),
        (Directory(entries={b"l": Symlink(target=b"t" * 4096)}), "target of 4096 bytes is longer than 4095"),
        (Directory(entries={b"a": Fifo(uid=2**32)}), "/a: owner 4294967296:0 is not between 0 and 4294967295"),
        (Directory(entries={b"a": Fifo(permissions=0o10000)}), "/a: permissions 0o10000 are more than"),
        (Directory(entries={b"a": Fifo(mtime_ns=2**63 * 10**9)}), "/a: time 9223372036854775808 does not fit"),
        (Directory(entries={b"a": Device(block=True, major=4096, minor=0)}), "/a: device number 4096:0 is more"),
        (Directory(entries={b"a": Fifo(origin="x.tar", xattrs={b"other.x": b""})}), r"/a \(from x.tar\): .*'other.x'"),
        (Directory(xattrs={b"user.%d" % n: bytes(65535) for n in range(5)}), "^erofs: /: extended attributes need"),
        (Directory(entries={b"a": File(content=Image(2**63))}), "/a: size of 9223372036854775808 bytes is more"),
        (
            Directory(entries={b"a": File(content=Image(2**50, [Extent(0, 2**50, Data(b""))]))}),
            "the tree needs 274877906946 blocks of 4096 bytes, but there can be 4294967294",
        ),
    ],
)
def test_what_cannot_be_stored(tree, message):
    refused(tree, message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label": "x" * 16}, "label 'xxxxxxxxxxxxxxxx' is longer than 15 bytes"),
        ({"label": "a\0"}, "has a NUL"),
        ({"size": 4097}, "size 4097 is not a positive multiple of 4096"),
        ({"size": 0}, "size 0 is not a positive multiple"),
        ({"size": 1 << 44}, "size 17592186044416 is not .* up to 17592186040320"),
    ],
)
def test_options(fields, message):
    with pytest.raises(UserError, match=message):
        ErofsOptions(uuid=ID, **fields)
