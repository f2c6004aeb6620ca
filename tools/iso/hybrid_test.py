"""Tests of ISO images over disks, with bsdtar, blkid, sgdisk and the kernel as oracles."""

import hashlib
import struct
import subprocess
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.gpt.table import Entry, Table, encode
from tools.gpt.types import EFI_SYSTEM, LINUX_FILESYSTEM
from tools.image.extents import Data, Extent, Image
from tools.iso.hybrid import Part, hybrid_image
from tools.testing.images import content, images, input_file
from tools.testing.oracles import ask, oracle
from tools.testing.raw import write_raw

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
BLOCK = 2048


def entry_of(number, part):
    return Entry(
        number=number,
        name=part.name,
        offset=part.offset,
        size=part.size,
        type=LINUX_FILESYSTEM if number > 1 else EFI_SYSTEM,
        uuid=UUID(int=number),
    )


def disk_of(contents, size, start=MIB, sector_size=512):
    """Returns a disk and its partitions, which have contents: (name, bytes of space before it, image)."""
    parts, images_at, offset = [], [], start
    for name, gap, image in contents:
        parts.append(Part(name, offset + gap, image.size))
        images_at.append((offset + gap, image))
        offset = -(-(offset + gap + image.size) // BLOCK) * BLOCK
    entries = tuple(entry_of(number, part) for number, part in enumerate(parts, 1))
    table = Table(disk_guid=UUID(int=99), disk_size=size, entries=entries, sector_size=sector_size)
    return Image.compose(size, [(0, encode(table)), *images_at]), parts


def iso_of(contents, size=None, label="LABEL", **options):
    size = size or 2 * MIB + sum(-(-(gap + image.size) // BLOCK) * BLOCK for _, gap, image in contents)
    disk, parts = disk_of(contents, size, **options)
    return hybrid_image(disk, parts, parts[0], label)


def listed(path):
    """Returns names and sizes of files by bsdtar."""
    lines = ask("bsdtar", "-tvf", path).splitlines()
    return {line.split()[8]: int(line.split()[4]) for line in lines if line.startswith("-")}


def extracted(path, name):
    command = [oracle("bsdtar"), "-xOf", path, name]
    return subprocess.run(command, capture_output=True, check=True).stdout


def number(data, offset):
    """Returns a number that is stored in both byte orders."""
    little, big = struct.unpack("<I", data[offset : offset + 4]), struct.unpack(">I", data[offset + 4 : offset + 8])
    assert little == big
    return little[0]


def records(image):
    """Yields identifier, flags, block and size of the root's records, as ECMA-119 9.1 has them."""
    root = image.read(16 * BLOCK + 156, 34)
    directory = image.read(number(root, 2) * BLOCK, number(root, 10))
    for begin in range(0, len(directory), BLOCK):
        block = directory[begin : begin + BLOCK]
        while block and block[0]:
            record, block = block[: block[0]], block[block[0] :]
            yield record[33 : 33 + record[32]].decode(), record[25], number(record, 2), number(record, 10)


names = st.text(st.sampled_from("abAB09_-.éß\N{PENGUIN}"), max_size=36).filter(
    lambda name: len(name.encode("utf-16-le")) <= 72
)


@given(st.data())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_partitions_are_files(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("iso")
    some = images(input_file(folder), unit=512, largest=64 * KIB).filter(lambda image: image.size)
    gaps = st.integers(0, 40).map(lambda blocks: blocks * BLOCK)
    parts = drawn.draw(st.lists(st.tuples(names, gaps, some), min_size=1, max_size=8))
    image = iso_of(parts)
    path = write_raw(image, folder / "disk.iso")
    found = listed(path)
    identifiers = [name for name, *_ in records(image) if name not in "\0\1"]
    assert identifiers == sorted(set(identifiers), key=lambda name: name.split("."))
    assert {name.removesuffix(";1") for name in identifiers} == set(found)
    by_content = sorted((hashlib.sha256(content(part)).hexdigest(), part.size) for _, _, part in parts)
    extracts = {name: extracted(path, name) for name in found}
    assert sorted((hashlib.sha256(extracts[name]).hexdigest(), size) for name, size in found.items()) == by_content
    assert "No problems found" in ask("sgdisk", "--verify", path)


def test_readers_see_a_disk_and_a_cd_rom(tmp_path):
    esp = Image.from_bytes(b"esp" * 1024)
    path = write_raw(iso_of([("esp", 0, esp), ("A_root", 0, Image(MIB))]), tmp_path / "disk.iso")
    said = ask("blkid", "--probe", "--output=export", path)
    for word in ("LABEL=LABEL", "TYPE=iso9660", "PTTYPE=gpt", "BLOCK_SIZE=2048"):
        assert word in said.split()
    assert listed(path) == {"ESP.IMG": 3072, "A_ROOT.IMG": MIB}
    assert extracted(path, "ESP.IMG") == b"esp" * 1024
    assert ask("bsdtar", "-tvf", path).count(" Jan  1  1970 ") == 3
    assert "UUID=" not in said.replace("PTUUID=", "")


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_the_rest_of_the_disk_is_unchanged(sector_size):
    parts = [("esp", 0, Image.from_bytes(b"e" * 64 * KIB)), ("data", 0, Image.from_bytes(b"d" * 64 * KIB))]
    disk, places = disk_of(parts, 4 * MIB, sector_size=sector_size)
    image = hybrid_image(disk, places, places[0], "DISK")
    before, after = content(disk), content(image)
    assert after[: 32 * KIB] == before[: 32 * KIB]
    assert after[MIB:] == before[MIB:]
    assert not any(before[32 * KIB : MIB])


def test_a_file_of_4_gib_and_more_has_extents(tmp_path):
    size = 9 * GIB + 512
    tail = Image.compose(size, [(size - 512, Image.from_bytes(b"t" * 512))])
    image = iso_of([("esp", 0, Image(MIB)), ("large", 0, tail), ("next", 0, Image(4 * GIB - BLOCK))])
    extent = 4 * GIB - BLOCK
    begin = 2 * MIB // BLOCK
    assert [record for record in records(image) if record[0] == "LARGE.IMG;1"] == [
        ("LARGE.IMG;1", 0x80, begin, extent),
        ("LARGE.IMG;1", 0x80, begin + extent // BLOCK, extent),
        ("LARGE.IMG;1", 0, begin + 2 * extent // BLOCK, size - 2 * extent),
    ]
    assert [record[1] for record in records(image) if record[0] == "NEXT.IMG;1"] == [0]
    assert listed(write_raw(image, tmp_path / "disk.iso")) == {
        "ESP.IMG": MIB,
        "LARGE.IMG": size,
        "NEXT.IMG": 4 * GIB - BLOCK,
    }


def test_large_disk_costs_what_its_data_costs():
    image = iso_of([("esp", 0, Image(MIB)), *((f"p{number}", 0, Image(60 * GIB)) for number in range(127))])
    assert image.size > 7 * TIB
    assert image.data_size < 256 * KIB
    sizes = {}
    for name, _, _, size in records(image):
        sizes[name] = sizes.get(name, 0) + size
    assert sizes.pop("ESP.IMG;1") == MIB
    assert {sizes[f"P{number}.IMG;1"] for number in range(127)} == {60 * GIB}


def catalog(image):
    record = image.read(17 * BLOCK, BLOCK)
    assert record[:7] == b"\0CD001\1"
    assert record[7:39].rstrip(b"\0") == b"EL TORITO SPECIFICATION"
    return image.read(struct.unpack_from("<I", record, 0x47)[0] * BLOCK, 64)


@pytest.mark.parametrize(
    ("size", "count"), [(512, 1), (2 * MIB, 4096), (32 * MIB - 512, 0xFFFF), (32 * MIB, 0), (GIB, 0)]
)
def test_boot_catalog(size, count):
    """A count of 0 or 1 means that the partition goes on to the end of the medium, as UEFI 13.3.2.1 has it."""
    entries = catalog(iso_of([("data", 0, Image(size))]))
    assert entries[:2] == b"\1\xef"
    assert entries[30:32] == b"\x55\xaa"
    assert sum(struct.unpack("<16H", entries[:32])) & 0xFFFF == 0
    assert struct.unpack("<BBHBBHI20x", entries[32:]) == (0x88, 0, 0, 0, 0, count, MIB // BLOCK)


def test_the_catalog_has_the_partition_to_boot():
    disk, parts = disk_of([("data", 0, Image(MIB)), ("esp", 0, Image(3 * MIB))], 8 * MIB)
    assert struct.unpack_from("<HI", catalog(hybrid_image(disk, parts, parts[1], "X")), 38) == (6144, 2 * MIB // BLOCK)


@pytest.mark.parametrize("label", ["", "lower", "A B", "L" * 33, "É"])
def test_labels_that_cannot_be(label):
    with pytest.raises(UserError, match=r"the label .* is not one of an ISO image: 1 to 32 characters A-Z, 0-9 and _"):
        iso_of([("esp", 0, Image(MIB))], label=label)


def test_partition_that_begins_in_a_block():
    with pytest.raises(UserError, match=f"partition esp begins at byte {MIB + 512}, .* at a multiple of 2048; give"):
        iso_of([("esp", 512, Image(MIB))], 4 * MIB)


@pytest.mark.parametrize("size", [4 * MIB + 512, 8 * TIB])
def test_size_that_a_cd_rom_cannot_have(size):
    with pytest.raises(UserError, match=f"the disk has {size} bytes; an ISO image has 1 to .* blocks of 2048 bytes"):
        iso_of([("esp", 0, Image(MIB))], size)


@pytest.mark.parametrize("start", [18 * KIB, 32 * KIB, 46 * KIB - BLOCK])
def test_no_place_before_the_first_partition(start):
    contents = [("esp", 0, Image(MIB)), ("data", 0, Image(MIB))]
    assert iso_of(contents, start=46 * KIB)
    with pytest.raises(
        UserError, match=rf"partition esp begins at byte {start}, .* end at {46 * KIB}; .* such as 1 MiB"
    ):
        iso_of(contents, start=start)


def test_place_that_is_used():
    """As by the boot loader that a BIOS starts."""
    disk, parts = disk_of([("esp", 0, Image(MIB))], 4 * MIB)
    used = Image(disk.size, [*disk.extents, Extent(36 * KIB, 512, Data(bytes(100) + b"x" * 412))])
    with pytest.raises(UserError, match=f"the disk has data at byte {36 * KIB + 100}, .* leave that free"):
        hybrid_image(used, parts, parts[0], "X")


def test_zeros_and_later_data_in_the_gap_are_no_hindrance():
    disk, parts = disk_of([("esp", 0, Image(MIB))], 4 * MIB)
    zeros = Extent(17 * KIB, 100 * KIB, Data(bytes(99 * KIB) + b"x" * KIB))
    image = hybrid_image(Image(disk.size, [*disk.extents, zeros]), parts, parts[0], "X")
    assert image.read(116 * KIB, KIB) == b"x" * KIB
