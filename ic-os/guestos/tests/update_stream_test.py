"""Reading an update image from a stream returns what the build wrote, or refuses the image."""

import contextlib
import datetime as dt
import io
import os
import shutil
import tarfile
import tracemalloc

import pytest
import zstandard
from guestos import compressed_stream, update_keys
from guestos.errors import GuestError, ImageError
from guestos.tar_stream import TarStream
from guestos.update_image import open_archive
from guestos.update_keys import Trust
from hypothesis import given, settings
from hypothesis import strategies as st
from update_images import MIB

from tools.image.extents import Data, Extent, Image
from tools.tar.sparse_archive import Member, archive_of

BLOCK = 512


def sparse_images():
    """Returns a strategy for images with data in some blocks."""

    def image(size, blocks):
        places = sorted({min(block, size - 1) for block in blocks})
        return Image(size * BLOCK, [Extent(at * BLOCK, BLOCK, Data(bytes([at % 255 + 1]) * BLOCK)) for at in places])

    return st.integers(1, 300).flatmap(lambda size: st.builds(image, st.just(size), st.lists(st.integers(0, size - 1))))


def read_all(tar):
    """Returns the content of the members of an archive, by name."""
    found = {}
    while (member := tar.next()) is not None:
        data = bytearray(member.size)
        for offset, length in member.ranges:
            data[offset : offset + length] = tar.read(length)
        found[member.name] = bytes(data)
    return found


@settings(max_examples=100)
@given(st.lists(sparse_images(), max_size=4), st.lists(st.binary(min_size=1, max_size=2000), max_size=3))
def test_reads_what_the_build_writes(images, files):
    contents = {f"{index}.img": image for index, image in enumerate(images)}
    contents |= {f"{index}.txt": Image.from_bytes(data) for index, data in enumerate(files)}
    archive = archive_of([Member.of(name, image) for name, image in contents.items()]).image
    read = read_all(TarStream(io.BytesIO(archive.read(0, archive.size))))
    assert read == {name: image.read(0, image.size) for name, image in contents.items()}


def test_a_map_has_no_more_ranges_than_its_data_has_blocks():
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("manifest.json")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1000"}
        table = b"900000\n" + b"0\n0\n" * 900000
        info.size = len(table)
        tar.addfile(info, io.BytesIO(table))
    archive = io.BytesIO(output.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="a sparse map of 900000 ranges for"):
            read_all(TarStream(archive))
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


@pytest.fixture
def decompressor(tmp_path, monkeypatch):
    """Returns a function that gives a program the place of zstd, and returns what it writes."""
    (tmp_path / "input.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(1000))

    def read(*command):
        monkeypatch.setattr(compressed_stream, "_ZSTD", command)
        with compressed_stream.open_stream(str(tmp_path / "input.zst")) as stream:
            return stream.read(1 << 16).decode()

    return read


def test_what_is_not_signed_is_decompressed_without_rights(decompressor):
    status = dict(line.split(":", 1) for line in decompressor("/bin/cat", "/proc/self/status").splitlines())
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapInh"], 16) == 0
    if os.geteuid() == 0:
        assert int(status["CapBnd"], 16) == 0
    if os.geteuid() == 0 and compressed_stream._is_mapped(65534):
        assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
        assert status["Groups"].split() == []


def test_what_is_not_signed_is_decompressed_with_limits(decompressor):
    said = decompressor("/bin/cat", "/proc/self/limits")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in said.splitlines()}
    assert limits["Max address space"] == [str(256 * MIB)] * 2
    assert limits["Max file size"] == limits["Max core file size"] == limits["Max processes"] == ["0"] * 2
    assert limits["Max open files"] == ["16"] * 2


def test_a_window_of_zstd_is_limited(tmp_path):
    """The address space has room for windows that are not allowed: up to 128 MiB zstd takes them of itself."""
    path = tmp_path / "input.zst"

    def read(window_log):
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log, write_content_size=0)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        path.write_bytes(compressor.compress(b"content") + compressor.flush())
        assert zstandard.get_frame_parameters(path.read_bytes()).window_size == 1 << window_log
        with compressed_stream.open_stream(str(path)) as stream:
            return stream.read(100)

    assert read(24) == b"content"
    for window_log in (25, 27):
        with pytest.raises(ImageError, match=r"input\.zst: is damaged or truncated: .*too much memory"):
            read(window_log)


def test_the_environment_is_not_passed_on(decompressor, monkeypatch):
    monkeypatch.setenv("ZSTD_NBTHREADS", "7")
    assert "ZSTD" not in decompressor("/usr/bin/env")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_reads_plain_files_of_other_programs(form):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as tar:
        info = tarfile.TarInfo("boot.img")
        info.size = 1000
        info.mtime = 1.5
        tar.addfile(info, io.BytesIO(b"x" * 1000))
    assert read_all(TarStream(io.BytesIO(output.getvalue()))) == {"boot.img": b"x" * 1000}


def test_refuses_holes_of_another_format():
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("boot.img"))
    with pytest.raises(ImageError, match="not a tar in the format ustar or pax"):
        read_all(TarStream(io.BytesIO(output.getvalue())))


@pytest.fixture(scope="session")
def trust(keys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("public")
    shutil.copy(keys / "test.pem", folder)
    return Trust(update_keys.read_keys(str(folder)), dt.date(2026, 6, 1))


@pytest.fixture(scope="session")
def whole(update_tar):
    return update_tar.read_bytes()


def pieces(path, trust):
    """Returns all pieces of an update image."""
    with open_archive(str(path), trust) as update:
        found = [list(update.pieces(image)) for image in (update.manifest.boot, update.manifest.root)]
        update.finish()
    return found


def test_pieces_are_those_of_the_images(update_tar, trust, update):
    for image, found in zip(update.images, pieces(update_tar, trust), strict=True):
        for piece in found:
            data = piece.data or bytes(piece.length)
            assert data == image.read(piece.offset, min(MIB, image.size - piece.offset))
    assert any(piece.data is None for piece in found)


@pytest.mark.parametrize("part", ["head", "all"])
@settings(max_examples=150)
@given(data=st.data())
def test_a_changed_image_is_refused_or_read_as_it_was_signed(part, whole, trust, tmp_path_factory, update, data):
    """Bytes are replaced, removed and inserted, mostly in the head, which is parsed before it is verified."""
    end = whole.index(b"root.img\0") + 2048 if part == "head" else len(whole)
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, end - 1))
        count = data.draw(st.integers(0, 600))
        changed[at : at + count] = data.draw(st.binary(max_size=600))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(changed)
    with contextlib.suppress(GuestError):
        boot, _root = pieces(path, trust)
        assert b"".join(piece.data or bytes(piece.length) for piece in boot) == update.images[0].read(0, 4 * MIB)
