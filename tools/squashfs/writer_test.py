"""Writes small trees, and asks unsquashfs about them."""

import random
import tracemalloc

import pytest

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.image.piece_store import PieceStore
from tools.image.rawfile import write_raw
from tools.image.spool import Spool
from tools.squashfs import metadata, writer
from tools.squashfs.data import DataWriter
from tools.squashfs.format import SUPERBLOCK_SIZE, Superblock
from tools.squashfs.inventory import take_inventory
from tools.squashfs.item import Stored
from tools.squashfs.options import SquashfsOptions
from tools.squashfs.reader import read_squashfs
from tools.squashfs.writer import write_squashfs
from tools.testing.folders import read_folder
from tools.testing.oracles import ask
from tools.testing.squashfs_images import BLOCK, LABEL, OPTIONS, checked_image, extracted, file, listing, statistics
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, Fifo, Socket, Symlink

SECOND = 10**9


def superblock(image):
    return Superblock.parse(image.read(0, SUPERBLOCK_SIZE))


def refused(tree, message, options=OPTIONS):
    with pytest.raises(UserError, match=message):
        write_squashfs(tree, options)


@pytest.mark.parametrize(("name", "number", "said"), [("zstd", 6, "zstd"), ("gzip", 1, "gzip"), ("none", 1, "gzip")])
def test_superblock(tmp_path, name, number, said):
    tree = Directory(entries={b"a": file(b"x" * 9000), b"b": Fifo(mtime_ns=5 * SECOND)})
    path = checked_image(tree, tmp_path / "image", SquashfsOptions(compression=name))
    found = superblock(Image.from_file(path))
    assert (found.inodes, found.time, found.block_size, found.fragments, found.compression) == (
        3,
        5,
        128 << 10,
        1,
        number,
    )
    text = statistics(path)
    assert f"Compression {said}\n" in text
    assert f"Data is {'uncompressed' if name == 'none' else 'compressed'}\n" in text
    assert "exportable via NFS" in text
    assert path.stat().st_size % 4096 == 0


def test_every_type(tmp_path):
    linked = file(b"linked", uid=65536, gid=2**32 - 1)
    tree = Directory(
        permissions=0o1777,
        mtime_ns=2**32 * SECOND - SECOND,
        entries={
            b"block": Device(block=True, major=8, minor=255),
            b"char": Device(block=False, major=1, minor=3, permissions=0o666),
            b"dir": Directory(entries={b"again": linked}, permissions=0o2750),
            b"fifo": Fifo(),
            b"link": Symlink(target=b"t" * 4095),
            b"linked": linked,
            b"socket": Socket(),
        },
    )
    text = listing(checked_image(tree, tmp_path / "image"))
    assert "drwxrwxrwt 0/0 103 2106-02-07 06:28 squashfs-root " in text
    assert "brw------- 0/0 8,255 1970-01-01" in text
    assert "crw-rw-rw- 0/0 1, 3 1970-01-01" in text
    assert "-rw-r--r-- 65536/4294967295 6 1970-01-01 00:00 squashfs-root/dir/again " in text
    assert "drwxr-s--- 0/0 28 1970-01-01 00:00 squashfs-root/dir " in text
    assert "srw------- 0/0 0 1970-01-01 00:00 squashfs-root/socket" in text


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7])
@pytest.mark.parametrize("name", ["zstd", "gzip", "none"])
def test_sizes(tmp_path, size, name):
    content = random.Random(size).randbytes(size // 2) + b"text" * size
    tree = Directory(entries={b"%d" % end: file(content[: size + end]) for end in range(3)})
    options = SquashfsOptions(compression=name, block_size=BLOCK)
    path = checked_image(tree, tmp_path / "image", options)
    found = read_folder(extracted(path, tmp_path / "out"))
    assert [str(each) for each in differences(tree, found, ("uid", "gid"))] == []


def test_files_with_the_same_content_are_stored_once(tmp_path):
    content = random.Random(1).randbytes(10 * BLOCK + 100)
    zeros = content[:BLOCK] + bytes(3 * BLOCK) + content[:100]
    with_hole = Image(len(zeros), [Extent(0, BLOCK, Data(zeros[:BLOCK])), Extent(4 * BLOCK, 100, Data(zeros[-100:]))])
    entries = {b"%d" % number: file(content) for number in range(5)} | {b"zeros": file(zeros), b"hole": file(b"")}
    entries[b"hole"].content = with_hole
    path = checked_image(Directory(entries=entries), tmp_path / "image")
    assert path.stat().st_size == 12 * BLOCK
    assert statistics(path).count("Duplicates are removed") == 1


def test_holes(tmp_path):
    size = 5 << 30
    content = Image(size, [Extent(0, 10, Data(b"0123456789")), Extent(3 << 30, 5000, Data(b"x" * 5000))])
    tree = Directory(entries={b"sparse": file(b""), b"empty": file(b"")})
    tree.entries[b"sparse"].content, tree.entries[b"empty"].content = content, Image((1 << 36) + 1)
    image = write_squashfs(tree, SquashfsOptions())
    found = read_squashfs(image).root.entries
    assert found[b"empty"].content.data_size == 0
    assert found[b"sparse"].content.data_size == 2 * (128 << 10)
    assert found[b"sparse"].content.read(3 << 30, 6000) == b"x" * 5000 + bytes(1000)
    write_raw(image, tmp_path / "image")
    assert f" {size} 1970-01-01" in listing(tmp_path / "image")
    piece = ask("unsquashfs", "-no-progress", "-d", tmp_path / "out", tmp_path / "image", "sparse")
    assert "created 1 file" in piece
    with (tmp_path / "out/sparse").open("rb") as opened:
        opened.seek((3 << 30) - 5)
        assert opened.read(5010) == bytes(5) + b"x" * 5000 + bytes(5)
    assert (tmp_path / "out/sparse").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("name", ["zstd", "none"])
def test_large_directory(tmp_path, name):
    names = [f"{number:05} {'x' * (number % 240)}".encode() for number in range(6000)]
    names += [bytes([200 + number % 56]) * (number // 56 + 1) for number in range(1000)]
    names += [b"!", b"-", b"..a", b"...", b"\x01", b"a" * 255]
    shared = file(b"shared")
    tree = Directory(entries={b"large": Directory(entries={name: Symlink(target=name[:5]) for name in names})})
    tree.entries[b"large"].entries[b"shared"] = tree.entries[b"shared"] = shared
    tree.entries[b"large"].entries |= {b"d%d" % number: Directory() for number in range(400)}
    path = checked_image(tree, tmp_path / "image", SquashfsOptions(compression=name))
    one = ask("unsquashfs", "-ll", path, f"large/{names[4777].decode()}")
    assert f"large/{names[4777].decode()} -> 04777" in one


def test_many_files_of_many_sizes(tmp_path):
    """Inodes are in many blocks of metadata, and numbers of inodes in a directory differ by more than 32767."""
    tree = Directory(entries={b"a": Directory(), b"b": Directory(), b"z": file(b"z")})
    last = file(b"last")
    tree.entries[b"a"].entries = {b"%d" % number: Fifo() for number in range(40_000)} | {b"last": last}
    tree.entries[b"b"].entries = {b"0": Fifo(), b"last": last, b"z": tree.entries[b"z"]}
    checked_image(tree, tmp_path / "image")


def test_attributes(tmp_path):
    big = {b"user.big": b"v" * 65536}
    tree = Directory(
        xattrs=LABEL,
        entries={
            b"big": file(b"tail", xattrs=LABEL | big),
            b"dir": Directory(xattrs=LABEL | {b"trusted.x": b""}),
            b"fifo": Fifo(xattrs=LABEL),
            b"link": Symlink(target=b"x", xattrs=LABEL),
            b"device": Device(block=True, major=1, minor=2, xattrs=LABEL | {b"security.x": LABEL[b"security.selinux"]}),
            b"same": file(b"x" * 5000, xattrs=big | LABEL),
        },
    )
    path = checked_image(tree, tmp_path / "image", SquashfsOptions(compression="none"))
    assert path.read_bytes().count(LABEL[b"security.selinux"]) == 1
    assert "Number of xattr ids 4\n" in statistics(path)


def test_many_attributes_fill_many_blocks(tmp_path):
    entries = {b"%d" % number: Fifo(xattrs={b"user.%d" % number: b"v" * 100}) for number in range(2000)}
    checked_image(Directory(entries=entries), tmp_path / "image")


def test_many_owners(tmp_path):
    checked_image(Directory(entries={b"%d" % number: Fifo(uid=number) for number in range(5000)}), tmp_path / "image")


def test_the_same_bytes_with_any_number_of_threads(tmp_path):
    chance = random.Random(7)
    tree = Directory(
        entries={b"%d" % number: file(chance.randbytes(chance.randrange(30_000)) * 2) for number in range(50)}
    )
    images = [write_squashfs(tree, OPTIONS, threads=threads) for threads in (1, 2, 5)]
    first, *others = (image.read(0, image.size) for image in images)
    assert others == [first, first]


def test_only_changed_blocks_are_compressed_again():
    """As in a worker: the second file system has one other block of data."""
    store = PieceStore()
    compressed = []

    def remember(encode, name):
        def noted(data):
            compressed.append(len(data))
            return encode(data)

        return store.remembering(noted, name)

    words = [b"%08d" % number * 512 for number in range(20)]
    write_squashfs(Directory(entries={b"file": file(b"".join(words))}), OPTIONS, remember=remember)
    assert compressed.count(BLOCK) == 20
    words[7] = words[7][:-1] + b"x"
    compressed.clear()
    tree = Directory(entries={b"file": file(b"".join(words))})
    image = write_squashfs(tree, OPTIONS, remember=remember)
    assert compressed.count(BLOCK) == 1
    assert image.read(0, image.size) == (plain := write_squashfs(tree, OPTIONS)).read(0, plain.size)


def test_blocks_that_are_not_compressed_are_not_remembered():
    def remember(_encode, name):
        raise AssertionError(name)

    tree = Directory(entries={b"file": file(b"x" * 9000)})
    options = SquashfsOptions(compression="none")
    image = write_squashfs(tree, options, remember=remember)
    assert image.read(0, image.size) == (plain := write_squashfs(tree, options)).read(0, plain.size)


def test_inodes_without_blocks_take_little_memory():
    count = 10_000
    tracemalloc.start()
    try:
        for node in (Fifo, lambda: file(b""), lambda: file(b"x")):
            tree = Directory(entries={b"%d" % number: node() for number in range(count)})
            before = tracemalloc.get_traced_memory()[0]
            items = take_inventory(tree, OPTIONS).items
            DataWriter(Spool(), SUPERBLOCK_SIZE, BLOCK, bytes).write(items, threads=1)
            assert tracemalloc.get_traced_memory()[0] - before < count * 250
        before = tracemalloc.get_traced_memory()[0]
        stored = [Stored() for _ in range(count)]
        assert (tracemalloc.get_traced_memory()[0] - before) / len(stored) < 150
    finally:
        tracemalloc.stop()
    stored[0].blocks.append(0, 1)
    assert list(stored[1].blocks.sizes) == []


def test_level_makes_a_difference():
    chance = random.Random(3)
    words = [chance.randbytes(5) for _ in range(1000)]
    tree = Directory(entries={b"words": file(b"".join(chance.choice(words) for _ in range(100_000)))})
    for name, low, high in (("zstd", 1, 22), ("gzip", 1, 12)):
        sizes = [superblock(write_squashfs(tree, SquashfsOptions(compression=name, level=n))) for n in (low, high)]
        assert sizes[0].bytes_used > sizes[1].bytes_used


def test_a_size():
    tree = Directory(entries={b"file": file(b"x" * 5000)})
    image = write_squashfs(tree, SquashfsOptions(size=64 << 20))
    assert image.size == 64 << 20
    assert image.data_size < 1000
    assert superblock(image).bytes_used < 1000
    refused(
        Directory(entries={b"a": file(random.Random(1).randbytes(9000))}),
        "does not fit in 8192 bytes; make the file system at least 12288 bytes",
        SquashfsOptions(size=8192),
    )


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (Directory(uid=2**32), r"^squashfs: /: owner 4294967296:0 is not between 0 and 4294967295$"),
        (Directory(mtime_ns=-1), r"^squashfs: /: time -1 is not between 0 and 4294967295, from 1970 to 2106$"),
        (Directory(mtime_ns=2**32 * SECOND), r"time 4294967296 is not between"),
        (Directory(entries={b"a": Fifo(permissions=0o10000)}), r"^squashfs: /a: permissions 0o10000 are more"),
        (Directory(entries={b"a": Device(block=True, major=4096, minor=0)}), "device number 4096:0 is more than 4095:"),
        (Directory(entries={b"a": Symlink(target=b"x" * 4096)}), "target of 4096 bytes is longer than 4095"),
        (Directory(entries={b"a": Symlink(target=b"")}), "target is empty or has a NUL"),
        (Directory(entries={b"x" * 256: Fifo()}), "name of 256 bytes is longer than 255"),
        (Directory(entries={b"..": Fifo()}), "name is reserved"),
        (Directory(entries={b"a/b": Fifo()}), "name has a slash or a NUL"),
        (Directory(entries={b"a": Fifo(origin="//:x", xattrs={b"system.posix_acl_access": b"1"})}),
         r"^squashfs: /a \(from //:x\): extended attribute 'system.posix_acl_access' has a name that SquashFS cannot"),
        (Directory(xattrs={b"user.a": b"v" * 65537}), "value longer than 65536 bytes"),
        (Directory(xattrs={b"user." + b"n" * 251: b""}), "name longer than 255 bytes"),
        (Directory(entries={b"%d" % n: Fifo(uid=n) for n in range(65536)}), "65536 different owners and groups"),
    ],
)  # fmt: skip
def test_what_cannot_be_stored(tree, message):
    refused(tree, message)


def test_metadata_that_is_too_large(monkeypatch):
    """The limits are 4 GiB, and here a few KiB."""
    monkeypatch.setattr(metadata, "_MOST_START", 1 << 14)
    tree = Directory(entries={b"%d" % number: Fifo() for number in range(100)})
    write_squashfs(tree, SquashfsOptions(compression="none"))
    tree.entries |= {b"%d" % number: Fifo() for number in range(1000)}
    refused(tree, "have more than 4 GiB of metadata; make the tree smaller", SquashfsOptions(compression="none"))
    monkeypatch.setattr(writer, "_MOST_LISTING", 1000)
    listed = Directory(entries={b"%d" % number: Fifo() for number in range(100)})
    refused(Directory(entries={b"d": listed}), r"^squashfs: /d: the directory's names take \d+ bytes, more than 1000$")


def test_a_directory_in_two_places():
    twice = Directory()
    refused(Directory(entries={b"a": twice, b"b": twice}), "/b: hard link to a directory is not possible")


def test_a_file_that_is_too_large():
    tree = Directory(entries={b"a": file(b"")})
    tree.entries[b"a"].content = Image((1 << 36) + 1)
    refused(tree, "/a: size of 68719476737 bytes is more than 68719476736, which larger blocks would raise")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"compression": "lz4"}, "compression 'lz4' is none of zstd, gzip, none"),
        ({"level": 23}, "level 23 cannot be; for zstd it can be from 1 to 22"),
        ({"compression": "gzip", "level": 0}, "level 0 cannot be; for gzip it can be from 1 to 12"),
        ({"compression": "none", "level": 1}, "level 1 cannot be; for none it can be 0"),
        ({"block_size": 5000}, "block size 5000 is no power of 2 from 4096 to 1048576"),
        ({"size": 1000}, "size 1000 is not a positive multiple of 4096 bytes"),
    ],
)
def test_options(parameters, message):
    with pytest.raises(UserError, match=message):
        SquashfsOptions(**parameters)
