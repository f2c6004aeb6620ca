import contextlib
import random
import struct
import subprocess
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.fat.reader import read_fat
from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.testing.oracles import ask, oracle
from tools.tree.node import Directory, File, walk

MIB = 1 << 20
UTF8 = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def made(path, *options, size=4 * MIB):
    """Returns the path of an empty file system made by mkfs.fat."""
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(size)
    ask("mkfs.fat", "-i", "CAFEBABE", *options, path)
    return path


def put(image, data, name):
    subprocess.run([oracle("mcopy"), "-oi", image, "-", f"::{name}"], input=data, env=UTF8, check=True)


def contents(root):
    return {
        path.decode(): node.content.read(0, node.content.size) if isinstance(node, File) else None
        for path, node in walk(root)
        if path
    }


@pytest.mark.parametrize(
    ("size", "options", "bits"),
    [
        (4 * MIB, ["-F", "12"], 12),
        (16 * MIB, ["-F", "16"], 16),
        (64 * MIB, ["-F", "32"], 32),
        (16 * MIB, ["-f", "1"], 16),
    ],
)
def test_what_mkfs_and_mtools_wrote(size, options, bits, tmp_path):
    path = made(tmp_path / "image", "-n", "SOME NAME", *options, size=size)
    put(path, b"upper", "/UPPER.TXT")
    put(path, b"lower", "/lower.txt")  # mtools writes this with case flags
    put(path, b"x" * 100000, "/Ein längerer Name mit Ümlaut.txt")
    ask("mmd", "-i", path, "::/d")
    put(path, b"", "/d/empty")
    volume = read_fat(Image.from_file(path))
    assert (volume.geometry.bits, volume.label, volume.volume_id) == (bits, "SOME NAME", 0xCAFEBABE)
    assert contents(volume.root) == {
        "UPPER.TXT": b"upper",
        "lower.txt": b"lower",
        "Ein längerer Name mit Ümlaut.txt": b"x" * 100000,
        "d": None,
        "d/empty": b"",
    }


def test_fat32_with_too_few_clusters(tmp_path):
    # mkfs.fat makes them, and Linux goes by the fields of the boot sector, which are those of FAT32.
    path = made(tmp_path / "image", "-F", "32", "-S", "4096", "-s", "1", size=64 * MIB)
    volume = read_fat(Image.from_file(path))
    assert (volume.geometry.bits, volume.label, volume.root.entries) == (32, "", {})


def test_deleted_and_fragmented_files(tmp_path):
    path = made(tmp_path / "image", "-F", "16", "-s", "1")
    for number in range(40):
        put(path, b"%d" % number * 700, f"/a file with number {number}")
    for number in range(0, 40, 2):
        ask("mdel", "-i", path, f"::/a file with number {number}")
    large = random.Random(0).randbytes(200_000)
    put(path, large, "/large")
    expected = {f"a file with number {n}": b"%d" % n * 700 for n in range(1, 40, 2)} | {"large": large}
    assert contents(read_fat(Image.from_file(path)).root) == expected


def test_times(tmp_path):
    path, source = made(tmp_path / "image"), tmp_path / "source"
    source.write_bytes(b"x")
    ask("touch", "-d", "2031-05-06T07:08:10Z", source)
    ask("mcopy", "-mi", path, source, "::/a")
    node = read_fat(Image.from_file(path)).root.entries[b"a"]
    assert node.mtime_ns == datetime(2031, 5, 6, 7, 8, 10, tzinfo=UTC).timestamp() * 10**9


TREE = Directory(
    entries={
        b"a": File(content=Image.from_bytes(b"a" * 2000)),
        b"a long name": File(content=Image.from_bytes(b"b" * 600)),
        b"F": File(content=Image.from_bytes(b"")),
        b"D": Directory(entries={b"E": File(content=Image.from_bytes(b"e"))}),
    }
)
SIZES: dict[Literal[12, 16, 32], int] = {12: MIB, 16: 3 * MIB, 32: 34 * MIB}
IMAGES = {bits: fat_image(TREE, Options(size=size, volume_id=1, bits=bits)) for bits, size in SIZES.items()}
PLAIN = {bits: image.read(0, image.size) for bits, image in IMAGES.items()}


def changed(bits, offset, data):
    plain = bytearray(PLAIN[bits])
    plain[offset : offset + len(data)] = data
    return Image.from_bytes(bytes(plain))


def entry_offset(bits, name):
    """Returns where the short entry of a name of 11 bytes stands."""
    return PLAIN[bits].index(name)


def with_fat(bits, cluster, value):
    offset = read_fat(IMAGES[bits]).geometry.fat_offset
    if bits == 12:
        position, old = offset + cluster * 3 // 2, None
        old = int.from_bytes(PLAIN[12][position : position + 2], "little")
        new = old & 0xF | value << 4 if cluster & 1 else old & 0xF000 | value
        return changed(12, position, struct.pack("<H", new))
    return changed(bits, offset + cluster * bits // 8, struct.pack("<H" if bits == 16 else "<I", value))


def first_cluster(bits, name):
    offset = entry_offset(bits, name)
    return int.from_bytes(PLAIN[bits][offset + 26 : offset + 28], "little")


A, LONG, D, F = b"A          ", b"ALONGN~1   ", b"D          ", b"F          "


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_chains_that_cannot_be(bits):
    a, directory = first_cluster(bits, A), first_cluster(bits, D)
    end = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}[bits]
    for image, message in [
        (with_fat(bits, a, a), "'/a' has cluster \\d+, which belongs to something else"),
        (with_fat(bits, a + 1, a), "'/a' has cluster \\d+, which belongs to something else"),
        (with_fat(bits, a, directory), "which belongs to something else"),
        (with_fat(bits, directory, directory), "'/D' has cluster \\d+, which belongs to something else"),
        (with_fat(bits, a, 0), "'/a' goes on at cluster 0, which does not exist"),
        (with_fat(bits, a, 1), "'/a' goes on at cluster 1, which does not exist"),
        (with_fat(bits, a, end & ~0xFF | 0xF7), "'/a' goes on at cluster \\d+, which does not exist"),
        (with_fat(bits, a, end), "'/a' has 1 clusters, too few for its 2000 bytes"),
        (with_fat(bits, a + 3, a + 100), "'/a' has more than the 4 clusters"),
    ]:
        with pytest.raises(UserError, match=f"^some.img: .*{message}"):
            read_fat(image, "some.img")


@pytest.mark.parametrize(
    ("name", "field", "data", "message"),
    [
        (A, 28, b"\xff\xff\xff\xff", "'/a' has 4 clusters, too few for its 4294967295 bytes"),
        (A, 28, b"\0\0\0\0", "'/a' has more than the 0 clusters"),
        (A, 26, b"\0\0", "'/a' has 0 clusters, too few"),
        (A, 26, b"\xff\xff", "'/a' goes on at cluster 65535, which does not exist"),
        (A, 11, b"\x10", "'/a/aaaaaaaa.aaa' goes on at cluster 1633771873"),
        (D, 26, b"\0\0", "the directory '/D' has no cluster"),
        (F, 0, D, "'/D' is there twice"),
        (F, 0, b"/          ", "'//' is there twice, or is not a name"),
    ],
)
def test_entries_that_cannot_be(name, field, data, message):
    with pytest.raises(UserError, match=message):
        read_fat(changed(16, entry_offset(16, name) + field, data))


@pytest.mark.parametrize(
    ("offset", "data", "message"),
    [
        (510, b"\0", "has no FAT boot sector"),
        (11, b"\0\0", "a size in it cannot be"),
        (11, b"\1\2", "a size in it cannot be"),
        (13, b"\0", "a size in it cannot be"),
        (13, b"\3", "a size in it cannot be"),
        (14, b"\0\0", "a size in it cannot be"),
        (16, b"\0", "a size in it cannot be"),
        (17, b"\1\0", "the root directory is not whole sectors"),
        (19, b"\xff\xff", "has 33553920 bytes, but the image has 3145728; it is cut"),
        (19, b"\1\0", "no room for data"),
        (19, b"\0\0", "no room for data"),
        (22, b"\1\0", "the FAT is too small for the clusters"),
        (22, b"\xff\xff", "no room for data"),
        (22, b"\0\0", "no room for data"),
    ],
)
def test_boot_sectors_that_cannot_be(offset, data, message):
    with pytest.raises(UserError, match=f"^FAT image: .*{message}"):
        read_fat(changed(16, offset, data))


@pytest.mark.parametrize("size", [0, 1, 511, 512, 4096, MIB, 3 * MIB - 1])
def test_cut_images(size):
    with pytest.raises(UserError):
        read_fat(Image.from_bytes(PLAIN[16][:size]))


def test_broken_long_name_leaves_the_short_one():
    offset = entry_offset(16, LONG)
    for change in (offset - 32 + 13, offset - 32):  # checksum; ordinal
        root = read_fat(changed(16, change, b"\x7f")).root
        assert set(root.entries) == {b"a", b"ALONGN~1", b"D", b"F"}


@given(st.data())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_reader_survives_anything(data):
    bits = data.draw(st.sampled_from([12, 16, 32]))
    geometry = read_fat(IMAGES[bits]).geometry
    plain = bytearray(PLAIN[bits][: geometry.data_offset + 10000])
    places = [(0, 90), (geometry.fat_offset, 64), (geometry.root_offset, 512), (geometry.data_offset, 5000)]
    for _ in range(data.draw(st.integers(1, 6))):
        begin, length = data.draw(st.sampled_from(places))
        plain[begin + data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UserError):
        contents(read_fat(Image.from_bytes(bytes(plain)).resized(SIZES[bits])).root)
