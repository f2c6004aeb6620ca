"""Tests of the formats of virtual disks, with qemu-img and qemu-io as oracles."""

import hashlib
import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.image.rawfile import write_raw
from tools.testing.images import images, input_file
from tools.testing.oracles import ask
from tools.virtual_disk.clusters import Run
from tools.virtual_disk.qcow2 import qcow2_image
from tools.virtual_disk.vhdx import vhdx_image
from tools.virtual_disk.vmdk import vmdk_image

GUID = uuid.UUID("2B110BB7-CDEC-7D41-B97E-893EDCBE5428")
KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
WRITERS = {
    "qcow2": qcow2_image,
    "vhdx": lambda disk: vhdx_image(disk, GUID),
    "vmdk": lambda disk: vmdk_image(disk, GUID, "disk.vmdk"),
}


def data(offset, length, byte=b"x"):
    return Extent(offset, length, Data(byte * length))


def check(folder, name, disk):
    """Writes a disk as raw file and in a format, and lets qemu-img check and compare them; returns the second."""
    raw, path = folder / "raw", folder / f"disk.{name}"
    write_raw(disk, raw)
    write_raw(WRITERS[name](disk), path)
    ask("qemu-img", "compare", "-f", "raw", "-F", name, raw, path)
    info = json.loads(ask("qemu-img", "info", "--output=json", "-f", name, path))
    assert info["virtual-size"] == disk.size
    said = json.loads(ask("qemu-img", "check", "--output=json", "-f", name, path))
    assert not said["check-errors"]
    assert not said.get("leaks")
    assert not said.get("corruptions")
    return path


@pytest.mark.parametrize("name", WRITERS)
@given(st.data())
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_qemu_reads_the_same_disk(tmp_path_factory, name, drawn):
    folder = tmp_path_factory.mktemp(name)
    parts = drawn.draw(images(input_file(folder), unit=512))
    begin = drawn.draw(st.sampled_from([0, 512, 64 * KIB, 31 * MIB, 512 * MIB - 64 * KIB, 4 * GIB]))
    end = drawn.draw(st.sampled_from([512, 4096, 3 * MIB + 512, 5 * GIB]))
    check(folder, name, Image.compose(begin + parts.size + end, [(begin, parts)]))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("size", [512, 64 * KIB, 32 * MIB, 512 * MIB + 512, 4 * GIB + MIB])
def test_sizes_with_data_in_the_last_sector(tmp_path, name, size):
    check(tmp_path, name, Image(size, [data(size - 512, 512)]))
    check(tmp_path, name, Image(size))


@pytest.mark.parametrize("name", WRITERS)
def test_large_disk_costs_what_its_data_costs(tmp_path, name):
    size = 8 * TIB
    disk = Image(size, [data(0, 512), data(5 * TIB + 512, 512, b"y"), data(size - 512, 512, b"z")])
    described = WRITERS[name](disk)
    assert described.data_size < 5 * MIB
    path = tmp_path / "disk"
    write_raw(described, path)
    ask("qemu-io", "-f", name, "-c", "read -P 121 5497558139392 512", "-r", path)
    ask("qemu-io", "-f", name, "-c", f"read -P 122 {size - 512} 512", "-r", path)


@pytest.mark.parametrize("name", WRITERS)
def test_guest_can_write_into_holes(tmp_path, name):
    path = check(tmp_path, name, Image(5 * GIB, [data(MIB, MIB)]))
    words = ("write -P 49 0 64k", "write -P 50 1536k 64k", "write -P 51 4608M 128k")
    ask("qemu-io", "-f", name, *(each for word in words for each in ("-c", word)), path)
    ask("qemu-img", "check", "-f", name, path)
    reads = (
        "read -P 49 0 64k",
        "read -P 120 1M 512k",
        "read -P 50 1536k 64k",
        "read -P 51 4608M 128k",
        "read -P 0 1G 1M",
    )
    said = ask("qemu-io", "-f", name, *(each for word in reads for each in ("-c", word)), path)
    assert "Pattern verification failed" not in said


def test_qcow2_with_many_refcount_blocks(tmp_path):
    disk = Image(3 * GIB + 512, [data(0, 64 * KIB)])
    dense = Image(disk.size, [Extent(at, 512, Data(b"d" * 512)) for at in range(0, disk.size, 64 * KIB)])
    assert qcow2_image(dense).size > 3 * GIB
    check(tmp_path, "qcow2", dense)


def test_descriptor_of_vmdk():
    text = vmdk_image(Image(MIB), GUID, "disk.vmdk").read(512, 10240).rstrip(b"\0").decode()
    assert 'RW 2048 SPARSE "disk.vmdk"' in text
    assert "CID=2b110bb6\n" in text
    assert 'ddb.uuid.image = "2b 11 0b b7 cd ec 7d 41-b9 7e 89 3e dc be 54 28"' in text


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("size", [0, 511, 513])
def test_disk_without_whole_sectors(name, size):
    with pytest.raises(UserError, match=rf"the disk has {size} bytes; a virtual disk has one or more sectors"):
        WRITERS[name](Image(size))


@pytest.mark.parametrize(("name", "limit"), [("qcow2", 2 << 50), ("vhdx", 64 * TIB)])
def test_disk_that_is_too_large(tmp_path, name, limit):
    write_raw(WRITERS[name](Image(limit)), tmp_path / "disk")
    info = json.loads(ask("qemu-img", "info", "--output=json", "-f", name, tmp_path / "disk"))
    assert info["virtual-size"] == limit
    with pytest.raises(UserError, match=f"the disk has {limit + 512} bytes; .* at most"):
        WRITERS[name](Image(limit + 512))


def test_vmdk_with_tables_that_are_too_large():
    with pytest.raises(UserError, match=r"the disk and its tables need \d+ bytes; a VMDK file has at most 2 TiB"):
        vmdk_image(Image(2 << 60), GUID, "disk")


@pytest.mark.parametrize("name", ['a"b', "a\nb", "n" * 20000])
def test_names_that_a_vmdk_cannot_have(name):
    with pytest.raises(UserError, match="VMDK file"):
        vmdk_image(Image(MIB), GUID, name)


def test_disks_that_are_too_large():
    with pytest.raises(UserError, match="a VMDK file has at most 2 TiB"):
        vmdk_image(Image(3 * TIB, [Extent(0, 3 * TIB, Data(b""))]), GUID, "disk.vmdk")
    with pytest.raises(UserError, match="a VHDX file has at most 64 TiB"):
        vhdx_image(Image(65 * TIB), GUID)


def test_runs_are_split_at_multiples():
    assert list(Run(6, 10, 100).split(8)) == [Run(6, 2, 100), Run(8, 8, 102)]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("qcow2", "5a66b16229c504b101965382adc5cd6ab0ceb650d0e64eaa488df7ff6f8d83d0"),
        ("vhdx", "a0425d89dc46c3a9a5f8860f0da0eb7501c98cb7dc1182c597b1ee672e1e7064"),
        ("vmdk", "dea95e7b4261485a48a73026f0137b2c9dfaab71837779d3af820b96be1742b1"),
    ],
)
def test_bytes_stay_the_same(name, digest):
    described = WRITERS[name](Image(100 * MIB, [data(5000, 70000), data(99 * MIB, 512)]))
    assert hashlib.sha256(described.read(0, described.size)).hexdigest() == digest
