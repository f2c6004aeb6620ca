"""The disk that QEMU reads in an archive is the one that GNU tar extracts, and no machine changes it."""

import hashlib
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.image.extents import Data, Extent, Image
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.images import images, input_file
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.vm.disk import forgetful_drive

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
SAMPLE = Image(5 * GIB, [Extent(at, 8 * KIB, Data(b"x" * 8 * KIB)) for at in (0, 12 * KIB, 3 * GIB, 5 * GIB - 8 * KIB)])


def archive(folder, disk):
    return write_raw(archive_of([Member.of("disk.img", disk)]).image, folder / "disk.tar")


def prepared(folder, path):
    """Returns the drive, with its files in a directory of their own."""
    (folder / "machine").mkdir()
    return forgetful_drive(str(path), folder / "machine")


def compare(drive, raw):
    ask("qemu-img", "compare", "-f", drive.format, "-F", "raw", drive.path, raw)


@given(st.data())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_qemu_reads_what_tar_extracts(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("disk")
    parts = drawn.draw(images(input_file(folder), unit=512))
    begin = drawn.draw(st.sampled_from([0, 4 * KIB, 2 * MIB, 31 * MIB, 4 * GIB]))
    end = drawn.draw(st.sampled_from([0, 512, 4 * KIB, 3 * MIB]))
    size = -(-(begin + parts.size + end) // 512) * 512 or 512
    path = archive(folder, Image.compose(size, [(begin, parts)]))
    drive = prepared(folder, path)
    if not (begin + parts.size + end) % (4 * KIB) and parts.extents:
        assert not (folder / "machine/disk.img").exists()
    ask("tar", "-xSf", path, "-C", folder)
    compare(drive, folder / "disk.img")
    if drive.format == "qcow2":
        ask("qemu-img", "check", "-f", "qcow2", drive.path)


def test_only_tables_are_written(tmp_path):
    disk = Image(8 * TIB, [Extent(at, 4 * KIB, Data(b"y" * 4 * KIB)) for at in (0, 5 * TIB)])
    drive = prepared(tmp_path, archive(tmp_path, disk))
    assert sum(file.lstat().st_blocks * 512 for file in (tmp_path / "machine").iterdir()) < 100 * KIB
    ask("qemu-io", "-r", "-f", drive.format, "-c", f"read -P 121 {5 * TIB} 4k", drive.path)


def test_the_archive_may_be_replaced(tmp_path):
    path = archive(tmp_path, SAMPLE)
    drive = prepared(tmp_path, path)
    path.unlink()
    archive(tmp_path, Image(MIB, [Extent(0, MIB, Data(b"another" * MIB))]))
    compare(drive, write_raw(SAMPLE, tmp_path / "raw"))


def test_what_is_written_is_forgotten(tmp_path):
    path = archive(tmp_path, SAMPLE)
    path.chmod(0o444)
    before = hashlib.sha256(path.read_bytes()).digest()
    drive = prepared(tmp_path, path)
    words = ("write -P 49 0 8k", "write -P 50 1G 64k", "read -P 49 0 8k", "read -P 120 12k 8k")
    ask("qemu-io", "--snapshot", "-f", drive.format, *(each for word in words for each in ("-c", word)), drive.path)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    compare(drive, write_raw(SAMPLE, tmp_path / "raw"))


@pytest.mark.parametrize("size", [MIB, MIB + 512, 513])
def test_other_disks_are_copied(tmp_path, size):
    disk = Image(size, [Extent(512, 1, Data(b"z"))])
    member = Member.of("disk.img", disk, 512)
    path = write_raw(archive_of([member]).image, tmp_path / "disk.tar")
    drive = prepared(tmp_path, path)
    assert (drive.format, drive.path) == ("raw", str(tmp_path / "machine/disk.img"))
    assert (tmp_path / "machine/disk.img").stat().st_mode & 0o777 == 0o600
    compare(drive, write_raw(disk, tmp_path / "raw"))


def test_a_disk_that_is_too_large_for_tables_is_copied(tmp_path):
    disk = Image(8 * TIB + 4 * KIB, [Extent(0, 4 * KIB, Data(b"y" * 4 * KIB))])
    drive = prepared(tmp_path, archive(tmp_path, disk))
    assert drive.format == "raw"
    assert (tmp_path / "machine/disk.img").stat().st_size == disk.size


def test_a_raw_disk_is_copied(tmp_path):
    raw = write_raw(SAMPLE, tmp_path / "raw")
    drive = prepared(tmp_path, raw)
    assert drive.format == "raw"
    compare(drive, raw)


def test_an_archive_without_holes(tmp_path):
    raw = write_raw(Image(MIB, [Extent(0, MIB, Data(b"data" * MIB))]), tmp_path / "disk.img")
    with tarfile.open(tmp_path / "disk.tar", "w") as tar:
        tar.add(raw, "disk.img")
    drive = prepared(tmp_path, tmp_path / "disk.tar")
    assert drive.format == "qcow2"
    compare(drive, raw)
