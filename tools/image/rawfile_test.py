import hashlib
import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image import rawfile
from tools.image.extents import Extent, FileRange, Image, InputFile, Pattern
from tools.image.holes import data_ranges
from tools.image.rawfile import open_raw, write_raw
from tools.image.running_digest import RunningDigest
from tools.testing.images import content, images, input_file

PROPERTY = settings(deadline=None, derandomize=True, max_examples=60)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return input_file(tmp_path_factory.mktemp("rawfile"))


@PROPERTY
@given(data=st.data())
def test_file_reads_as_the_image(file, tmp_path_factory, data):
    image = data.draw(images(file))
    path = tmp_path_factory.mktemp("raw") / "out"
    done = []
    digest = RunningDigest()
    write_raw(image, path, done.append, digest=digest)
    assert path.read_bytes() == content(image)
    assert digest.digest() == hashlib.sha256(content(image)).digest()
    assert sum(done) >= image.data_size
    path.unlink()


@PROPERTY
@given(data=st.data())
def test_map_of_a_raw_file_is_the_same_whether_it_is_sparse(file, tmp_path_factory, data):
    image = data.draw(images(file))
    folder = tmp_path_factory.mktemp("raw")
    write_raw(image, folder / "sparse")
    (folder / "plain").write_bytes(content(image))
    sparse, plain = open_raw(folder / "sparse"), open_raw(folder / "plain")
    assert content(sparse) == content(plain) == content(image)
    assert data_ranges(sparse) == data_ranges(plain)
    (folder / "sparse").unlink()
    (folder / "plain").unlink()


@pytest.mark.parametrize("error", sorted(rawfile._NOT_COPYABLE))
def test_files_that_the_kernel_does_not_copy(file, tmp_path, monkeypatch, error):
    def refuse(*_arguments):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    image = Image(3 << 20, [Extent(0, 3 << 20, FileRange(file))])
    digest = RunningDigest()
    write_raw(image, tmp_path / "out", digest=digest)
    assert (tmp_path / "out").read_bytes() == content(image)
    assert digest.digest() == hashlib.sha256(content(image)).digest()


def test_copy_that_stops_half_way_is_finished(file, tmp_path, monkeypatch):
    copy = os.copy_file_range
    calls = []

    def short(source, target, count, *offsets):
        calls.append(count)
        return copy(source, target, min(count, 100_000), *offsets) if len(calls) < 4 else 0

    monkeypatch.setattr(os, "copy_file_range", short)
    image = Image(3 << 20, [Extent(0, 3 << 20, FileRange(file))])
    digest = RunningDigest()
    write_raw(image, tmp_path / "out", digest=digest)
    assert (tmp_path / "out").read_bytes() == content(image)
    assert digest.digest() == hashlib.sha256(content(image)).digest()


def test_writes_are_few(file, tmp_path, monkeypatch):
    writes = []
    write = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda *arguments: writes.append(1) or write(*arguments))
    image = Image(40 << 20, [Extent(4096 * n, 4000, FileRange(file, n)) for n in range(10_000)])
    write_raw(image, tmp_path / "out")
    assert len(writes) <= 50
    assert (tmp_path / "out").read_bytes() == content(image)


def test_holes_take_no_space(tmp_path):
    image = Image(1 << 40, [Extent((1 << 40) - 5000, 1000, Pattern(b"x"))])
    write_raw(image, tmp_path / "out")
    status = (tmp_path / "out").stat()
    assert status.st_size == 1 << 40
    assert status.st_blocks * 512 <= 64 << 10


def test_no_output_when_an_input_is_too_short(tmp_path):
    (tmp_path / "input").write_bytes(b"12")
    image = Image(5 << 20, [Extent(0, 5 << 20, FileRange(InputFile(tmp_path / "input")))])
    with pytest.raises(UserError, match="input: ends before byte"):
        write_raw(image, tmp_path / "out")
    assert os.listdir(tmp_path) == ["input"]


def test_full_disk_is_an_error_that_names_the_output(file, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(UserError, match="out: cannot be written: No space left on device"):
        write_raw(Image(10, [Extent(0, 10, Pattern(b"x"))]), tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_holes_depend_on_the_content_alone(tmp_path):
    data = b"a".ljust(1 << 20, b"\0") + b"end"
    (tmp_path / "full").write_bytes(data)
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"a")
        file.seek(1 << 20)
        file.write(b"end")
    for name in ("full", "sparse"):
        extents = open_raw(tmp_path / name, 64 << 10).extents
        assert [(extent.offset, extent.length) for extent in extents] == [(0, 64 << 10), (1 << 20, 3)]


def test_what_is_neither_file_nor_device_is_refused():
    with pytest.raises(UserError, match="is neither a regular file nor a block device"):
        open_raw("/dev/zero")


def test_block_devices_are_opened_with_their_size(tmp_path, monkeypatch):
    path = tmp_path / "device"
    path.write_bytes(bytes(8192) + b"data")

    def as_of_a_device(descriptor):
        return os.stat_result((stat.S_IFBLK | 0o600, *[0] * 9))  # the size of a device is not in its status

    monkeypatch.setattr(os, "fstat", as_of_a_device)
    image = open_raw(path)
    assert (image.size, image.data_size, image.read(8192, 4)) == (8196, 4, b"data")
