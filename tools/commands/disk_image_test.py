import gzip
import json
import os
import resource

import pytest
import zstandard

from tools.commands import compress
from tools.commands.disk_image import Arguments, main
from tools.core.cli import call
from tools.gpt.reader import read_table
from tools.image.compare import first_difference
from tools.image.extents import Data, Extent, Image, Pattern
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image, open_member
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.oracles import ask

MIB = 1 << 20
GUID = "2B110BB7-CDEC-7D41-B97E-893EDCBE5428"
LAYOUT = """name,start,size,type,uuid,comment
esp,2048,4096,U,B78084E2-3363-1346-8C25-D426F26B8928,
root,6144,20480,L,6788E4CF-F456-104E-9A34-A2C58CFB0EE6,
data,26624,4096,L,,
store,,,L,,
"""
NOISE = bytes(byte * 7 % 251 for byte in range(100_000))
ESP = Image(2 * MIB, [Extent(0, 70000, Data(NOISE[:70000])), Extent(2 * MIB - 5000, 5000, Data(NOISE[:5000]))])
ROOT = Image(5 * MIB, [Extent(8192 * n, 5000, Data(NOISE[n : n + 5000])) for n in range(500)])
HASHES = Image(MIB, [Extent(0, 40960, Pattern(b"hash"))])


def artifact(name, offset=0):
    return {"image": f"{name}.img.tar", "offset": offset, "zst": f"{name}.data.zst", "gz": f"{name}.data.gz"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a layout and three images; paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "partitions.csv").write_text(LAYOUT)
    for name, image in (("esp", ESP), ("root", ROOT), ("hashes", HASHES)):
        write_raw(archive_of([Member.of(f"{name}.img", image)]).image, f"{name}.img.tar")
        for suffix in ("zst", "gz"):
            flags = [f"--input={name}.img.tar", f"--output={name}.data.{suffix}", "--data"]
            assert call(compress.main, compress.Arguments, None, ["compress", *flags]) == 0
    return tmp_path


def spec(**changes):
    partitions = [
        {"name": "root", "parts": [artifact("hashes", 6 * MIB), artifact("root")]},
        {"name": "esp", "parts": [artifact("esp")]},
    ]
    values = {"layout": "partitions.csv", "disk_guid": GUID, "expanded_size": "1G", "partitions": partitions}
    return values | {"output_tar": "disk-img.tar"} | changes


def build(**changes):
    with open("disk.json", "w") as file:
        json.dump(spec(**changes), file)
    return call(main, Arguments, None, ["disk_image", "--spec=disk.json"])


def unzstd(path):
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()


def test_disk_holds_what_was_given(folder):
    assert build(output_raw="disk.img") == 0
    disk = open_member("disk-img.tar", "disk.img")
    assert disk.size == 1 << 30
    assert first_difference(disk, open_image("disk.img")) is None
    entries = {entry.name: entry for entry in read_table(disk).entries}
    assert list(entries) == ["esp", "root", "data", "store"]
    for name, offset, image in (("esp", 0, ESP), ("root", 0, ROOT), ("root", 6 * MIB, HASHES)):
        placed = disk.slice(entries[name].offset + offset, image.size)
        assert first_difference(placed, image) is None
    assert not disk.slice(entries["data"].offset, entries["data"].size).extents


def test_stock_tools_agree(folder):
    assert build(output_raw="disk.img", expanded_size="64M") == 0
    assert "No problems found" in ask("sgdisk", "-v", "disk.img")
    assert "No errors detected" in ask("sfdisk", "--verify", "disk.img")
    os.rename("disk.img", "raw")
    ask("tar", "-xf", "disk-img.tar")
    ask("cmp", "disk.img", "raw")
    assert os.stat("disk.img").st_blocks * 512 < 16 * MIB


def test_compressed_data_is_taken_over(folder):
    """What is compressed decompresses to the plain archive, and holds the parts' compressed data as they are."""
    assert build(output_zst="disk-img.tar.zst", output_gz="disk-img.tar.gz") == 0
    plain = (folder / "disk-img.tar").read_bytes()
    assert len(plain) < 5 * MIB
    assert unzstd(folder / "disk-img.tar.zst") == plain
    assert gzip.decompress((folder / "disk-img.tar.gz").read_bytes()) == plain
    for suffix in ("zst", "gz"):
        whole = (folder / f"disk-img.tar.{suffix}").read_bytes()
        for name in ("esp", "root", "hashes"):
            assert (folder / f"{name}.data.{suffix}").read_bytes() in whole


def test_result_depends_on_the_arguments_alone(folder, monkeypatch):
    outputs = {"output_zst": "disk-img.tar.zst", "output_gz": "disk-img.tar.gz"}
    assert build(**outputs) == 0
    names = ["disk-img.tar", *outputs.values()]
    before = {name: (folder / name).read_bytes() for name in names}
    for name in ("esp.img.tar", "root.img.tar"):  # the same bytes, but without holes
        data = (folder / name).read_bytes()
        os.unlink(name)
        (folder / name).write_bytes(data)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    previous = os.umask(0o077)
    try:
        assert build(partitions=spec()["partitions"][::-1], **outputs) == 0
    finally:
        os.umask(previous)
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_checksums_are_those_of_sha256sum(folder):
    outputs = {"output_zst": "disk.tar.zst", "output_gz": "disk.tar.gz", "output_raw": "disk.img"}
    assert build(expanded_size="64M", sha256=True, **outputs) == 0
    for name in ("disk-img.tar", *outputs.values()):
        assert (folder / f"{name}.sha256").read_text() == ask("sha256sum", name)


def test_no_checksum_is_left_of_an_output_that_fails(folder, capsys):
    (folder / "disk.tar.zst.sha256").write_text("earlier")
    esp = {"name": "esp", "parts": [artifact("esp") | {"zst": "root.data.zst"}]}
    before = sorted({*os.listdir(), "disk.json"})
    assert build(output_tar=None, output_zst="disk.tar.zst", partitions=[esp], sha256=True) == 2
    assert "root.data.zst: holds 4096000 bytes compressed" in capsys.readouterr().err
    assert sorted(os.listdir()) == before
    assert (folder / "disk.tar.zst.sha256").read_text() == "earlier"


def test_without_and_least_size(folder):
    assert build(expanded_size=None, without=["store"]) == 0
    table = read_table(open_member("disk-img.tar"))
    assert [entry.name for entry in table.entries] == ["esp", "root", "data"]
    assert table.disk_size == 16 * MIB


def test_raw_images_will_do(folder):
    write_raw(ESP, "esp.img")
    assert build() == 0
    before = (folder / "disk-img.tar").read_bytes()
    assert build(partitions=[*spec()["partitions"][:1], {"name": "esp", "parts": [{"image": "esp.img"}]}]) == 0
    after = (folder / "disk-img.tar").read_bytes()
    assert first_difference(Image.from_bytes(before), Image.from_bytes(after)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_tar": None}, "there is nothing to write"),
        ({"disk_guid": "x"}, "disk_guid: 'x' is not a GUID"),
        ({"layout": "none.csv"}, "none.csv: cannot be read: No such file or directory"),
        ({"without": ["nope"]}, "partitions.csv: has no partition 'nope'"),
        ({"expanded_size": "4M"}, "partitions.csv:3: root ends past the end of the disk"),
        ({"partitions": [{"name": "nope", "parts": []}]}, "is not in partitions.csv, which has esp, root"),
        ({"partitions": [{"name": "esp", "parts": []}] * 2}, "partition esp: is given twice"),
        (
            {"partitions": [{"name": "esp", "parts": [artifact("root")]}]},
            "in partitions.csv, and 5242880 are needed",
        ),
        (
            {"partitions": [{"name": "esp", "label": "//app:root", "parts": [artifact("root")]}]},
            "5242880 are needed for //app:root; enlarge the partition to at least 5M, or make its image smaller",
        ),
        ({"partitions": [{"name": "esp", "parts": [artifact("hashes", 100)]}]}, "must be multiples of 512"),
        (
            {"partitions": [{"name": "root", "parts": [artifact("root"), artifact("esp", MIB)]}]},
            "partition root: esp.img.tar at 1048576 overlaps root.img.tar, which ends at 5242880",
        ),
        (
            {"output_zst": "x", "partitions": [{"name": "esp", "parts": [artifact("esp") | {"zst": "root.data.zst"}]}]},
            "root.data.zst: holds 4096000 bytes compressed, and the image that it belongs to has 81920 bytes",
        ),
        ({"partitions": [{"name": "esp"}]}, "disk.json: partitions[0].parts: is missing"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(folder, capsys, changes, message):
    before = sorted({*os.listdir(), "disk.json"})
    assert build(**{"output_tar": "x.tar"} | changes) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert sorted(set(os.listdir()) - {"x.tar"}) == before


@pytest.mark.parametrize("output", ["output_tar", "output_zst", "output_gz", "output_raw"])
def test_a_write_that_fails_midway_leaves_nothing(folder, capsys, output):
    """The kernel's limit of the size of files stands for a full disk: writes succeed up to it."""
    before = sorted({*os.listdir(), "disk.json"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        assert build(**{"output_tar": None, output: "disk"}) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capsys.readouterr().err == "error: disk: cannot be written: File too large\n"
    assert sorted(os.listdir()) == before
