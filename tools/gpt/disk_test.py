import contextlib
import hashlib
import json
import re
import struct
import uuid
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import parse_layout
from tools.gpt.reader import read_table
from tools.gpt.table import encode
from tools.image.extents import Data, Extent, Image
from tools.testing.disks import disk_image
from tools.testing.oracles import ask
from tools.testing.raw import write_raw

GUID = uuid.UUID("2B110BB7-CDEC-7D41-B97E-893EDCBE5428")
MIB = 1 << 20
TWO = "esp,2048,2048,U,B78084E2-3363-1346-8C25-D426F26B8928,\nroot,,rest,L,,\n"


def table_of(text, size, **options):
    return place(parse_layout(text, "p.csv"), size, GUID, **options)


def test_rest_ends_at_the_last_usable_mebibyte_and_uuid_is_derived():
    esp, root = table_of(TWO, 10 * MIB).entries
    assert (esp.offset, esp.size) == (MIB, MIB)
    assert (root.offset, root.size) == (2 * MIB, 7 * MIB)
    assert root.uuid == uuid.uuid5(GUID, "root")


def test_least_disk_size_is_enough_and_needed():
    layout = parse_layout(TWO, "p.csv")
    size = minimum_disk_size(layout)
    assert size == 4 * MIB
    place(layout, size, GUID)
    with pytest.raises(UserError, match=r"p.csv:2: root ends past the end of the disk.* up to 3145728"):
        place(layout, size - MIB, GUID)


@pytest.mark.parametrize(
    ("size", "sector", "message"),
    [
        (0, 512, "disk size 0 is not a multiple"),
        (-512, 512, "is not a multiple"),
        (10 * MIB + 1, 512, "is not a multiple of the sector size, 512"),
        (10 * MIB + 512, 4096, "is not a multiple of the sector size, 4096"),
        (67 * 512, 512, "has no room"),
        (10 * MIB, 1024, "sector size 1024 is not one of 512, 4096"),
        (2 * MIB, 512, "p.csv:1: esp ends past the end of the disk"),
    ],
)
def test_disk_that_does_not_fit(size, sector, message):
    with pytest.raises(UserError, match=message):
        table_of(TWO, size, sector_size=sector)


def test_size_must_be_whole_sectors():
    with pytest.raises(UserError, match=r"p.csv:1: size 9 of a is not a multiple of the disk's sectors of 4096 bytes"):
        table_of("a,,9,L,,", 10 * MIB, sector_size=4096)


def test_given_guid_that_equals_a_derived_one():
    with pytest.raises(UserError, match=r"p.csv:2: a has the GUID .*, which is already b's"):
        table_of(f"b,,1,L,{uuid.uuid5(GUID, 'a')},\na,,1,L,,", 10 * MIB)


def test_places_images():
    table = table_of(TWO, 10 * MIB)
    disk = disk_image(table, [("root", Image.from_bytes(b"r" * 10)), ("esp", Image.from_bytes(b"e" * MIB))])
    assert disk.size == 10 * MIB
    assert disk.read(MIB, MIB) == b"e" * MIB
    assert disk.read(2 * MIB, 11) == b"r" * 10 + b"\0"
    assert read_table(disk) == table


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([("boot", Image(1))], "partition boot: is not in the layout, which has esp, root"),
        ([("esp", Image(1)), ("esp", Image(1))], "partition esp: is given twice"),
        ([("esp", Image(MIB + 1))], "partition esp: has 1048576 bytes in the layout, and 1048577 are needed"),
    ],
)
def test_images_that_cannot_be_placed(contents, message):
    with pytest.raises(UserError, match=message):
        disk_image(table_of(TWO, 10 * MIB), contents)


def test_huge_disk_costs_nothing():
    table = table_of(TWO, 1 << 62)
    disk = encode(table)
    assert disk.data_size < 4096
    assert read_table(disk) == table


def test_bytes_stay_the_same():
    disk = encode(table_of(TWO, 10 * MIB))
    assert (
        hashlib.sha256(disk.read(0, disk.size)).hexdigest()
        == "6825646481de60d3b5e5848923b6d73fe442771ae2a5d230a54867332ddf967f"
    )


NAMES = st.text(st.characters(categories=["L", "N"]) | st.sampled_from(" _-.\N{PENGUIN}"), min_size=1, max_size=18).map(
    str.strip
)


@st.composite
def tables(draw, sectors=(512, 4096)):
    sector = draw(st.sampled_from(sectors))
    names = draw(st.lists(NAMES.filter(bool), min_size=1, max_size=12, unique=True))
    rows = []
    for name in names:
        size = draw(st.integers(1, 3 * MIB // 4096)) * 8
        kind = draw(st.sampled_from("ULSHRV") | st.uuids().map(str))
        guid = draw(st.just("") | st.uuids().map(str))
        rows.append(f'"{name}",,{size},{kind},{guid},{draw(st.sampled_from(["", "RequiredPartition GUID:60"]))}')
    if draw(st.booleans()):
        rows[-1] = f'"{names[-1]}",,,L,,'
    layout = parse_layout("name,start,size,type,uuid,attributes\n" + "\n".join(rows), "p.csv")
    size = minimum_disk_size(layout) + draw(st.integers(0, 5000)) * sector
    return place(layout, size, draw(st.uuids()), sector)


@given(tables())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_reader_agrees(table):
    assert read_table(encode(table)) == table


@given(tables(sectors=[512]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_sfdisk_and_sgdisk_agree(tmp_path_factory, table):
    path = write_raw(encode(table), tmp_path_factory.mktemp("gpt") / "disk")
    assert "No problems found" in ask("sgdisk", "-v", path)
    assert "No errors detected" in ask("sfdisk", "--verify", path)
    said = json.loads(ask("sfdisk", "--json", path))["partitiontable"]
    assert said["id"] == str(table.disk_guid).upper()
    assert (said["firstlba"], said["lastlba"]) == (34, table.disk_size // 512 - 34)
    partitions = [(p["node"], p["start"], p["size"], p["type"], p["uuid"], p["name"]) for p in said["partitions"]]
    assert partitions == [
        (f"{path}{e.number}", e.offset // 512, e.size // 512, str(e.type).upper(), str(e.uuid).upper(), e.name)
        for e in table.entries
    ]
    for entry, found in zip(table.entries, said["partitions"], strict=True):
        assert found.get("attrs", "") == ("RequiredPartition GUID:60" if entry.attributes else "")


def test_fdisk_agrees_on_sectors_of_4096(tmp_path):
    table = table_of(TWO, 10 * MIB, sector_size=4096)
    path = write_raw(encode(table), tmp_path / "disk")
    said = ask("fdisk", "-b", "4096", "-x", path)
    assert "PMBR" not in said
    assert "corrupt" not in said
    assert re.search(rf"{path}1 +256 +511 +256 +C12A7328", said)
    assert re.search(rf"{path}2 +512 +2303 +1792 +0FC63DAF", said)


def test_sgdisk_accepts_gaps_in_the_numbers(tmp_path):
    layout = parse_layout("a,,2048,L,,\nb,,2048,L,,\nc,,2048,L,,\n", "p.csv").without(["b"])
    path = write_raw(encode(place(layout, 10 * MIB, GUID)), tmp_path / "disk")
    assert "No problems found" in ask("sgdisk", "-v", path)
    assert re.findall(r"disk(\d+) :", ask("sfdisk", "-d", path)) == ["1", "3"]


@pytest.fixture
def disk():
    return encode(table_of(TWO, 10 * MIB))


def damaged(disk, offset, data):
    image = bytearray(disk.read(0, disk.size))
    image[offset : offset + len(data)] = data
    return Image.from_bytes(bytes(image))


LAST = 10 * MIB - 512


@pytest.mark.parametrize(
    ("offset", "data", "message"),
    [
        (510, b"\0", "has no protective MBR"),
        (450, b"\x83", "has no protective MBR"),
        (458, b"\1\0", "the protective MBR covers 1 "),
        (512, b"F", "the primary GPT header is missing"),
        (520, b"\1", "the primary GPT header is missing or not of revision 1.0"),
        (568, b"\1", "the primary GPT header has a wrong checksum"),
        (1024, b"\1", "the primary GPT's entries have a wrong checksum"),
        (1024 + 16383, b"\1", "the primary GPT's entries have a wrong checksum"),
        (LAST, b"F", "the backup GPT header is missing"),
        (LAST + 56, b"\1", "the backup GPT header has a wrong checksum"),
        (LAST - 16384, b"\1", "the backup GPT's entries have a wrong checksum"),
    ],
)
def test_damage_is_found(disk, offset, data, message):
    with pytest.raises(UserError, match=f"^some.img: {message}"):
        read_table(damaged(disk, offset, data), "some.img")


def forged(disk, sector, field, value):
    """Returns the disk with a header field of 8 bytes changed, and a correct checksum."""
    header = bytearray(disk.read(sector * 512, 92))
    struct.pack_into("<Q", header, field, value)
    struct.pack_into("<I", header, 16, 0)
    struct.pack_into("<I", header, 16, zlib.crc32(header))
    return damaged(disk, sector * 512, header)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (24, 2, "is for sectors 2 and 20479, not 1 and 20479: is the disk truncated"),
        (32, 30000, "is for sectors 1 and 30000"),
        (40, 1, "entries and usable sectors overlap"),
        (40, 1 << 63, "entries and usable sectors overlap"),
        (48, 1 << 63, "entries and usable sectors overlap"),
        (56, 0, "differ"),
        (72, 0, "entries and usable sectors overlap"),
        (72, 1 << 63, "entries and usable sectors overlap"),
        (80, 1 << 63, "has 0 entries of 2147483648 bytes"),
        (80, 128 << 32 | 0xFFFFFFFF, "has 4294967295 entries of 128 bytes"),
        (80, 127 << 32 | 128, "has 128 entries of 127 bytes"),
    ],
)
def test_forged_headers_are_refused(disk, field, value, message):
    with pytest.raises(UserError, match=message):
        read_table(forged(disk, 1, field, value))


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1024, 4096, 5 * MIB, 10 * MIB - 512, 10 * MIB + 512, 10 * MIB + 1])
def test_cut_or_grown_disk_is_refused(disk, size):
    data = disk.read(0, min(size, disk.size))
    with pytest.raises(UserError):
        read_table(Image(size, [Extent(0, len(data), Data(data))]))


def with_entries(change):
    """Returns a disk with both entry arrays changed, and correct checksums."""
    table = table_of(TWO, 10 * MIB)
    entries = tuple(replace(entry, **change) if entry.number == 2 else entry for entry in table.entries)
    return encode(replace(table, entries=entries))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": 1024}, "partition 2 .root. is not within the usable sectors"),
        ({"size": 9 * MIB}, "partition 2 .root. is not within the usable sectors"),
        ({"size": -MIB}, "partition 2 .root. is not within the usable sectors"),
        ({"offset": MIB}, "partitions 1 .esp. and 2 .root. overlap"),
        ({"uuid": uuid.UUID("B78084E2-3363-1346-8C25-D426F26B8928")}, "partitions 1 and 2 have the same GUID"),
    ],
)
def test_entries_that_contradict_each_other(change, message):
    with pytest.raises(UserError, match=message):
        read_table(with_entries(change))


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_reader_survives_anything(data):
    sizes = st.sampled_from([1024, 8192, 68 * 512, 3 * MIB])
    disk = encode(table_of("a,,8,L,,", 3 * MIB)).resized(3 * MIB)
    image = bytearray(disk.read(0, disk.size))[: data.draw(sizes)]
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, min(len(image), 1200) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UserError):
        read_table(Image.from_bytes(bytes(image)))
