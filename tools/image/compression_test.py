import contextlib
import gzip
import hashlib
import os
import struct
import subprocess

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.compressed_data import open_compressed
from tools.image.compressed_file import Payload, content_size, write_compressed
from tools.image.compression import Gzip, Zstd, compressed
from tools.image.extents import Data, Extent, Image, Pattern
from tools.image.running_digest import RunningDigest
from tools.testing.images import content, images, input_file
from tools.testing.oracles import oracle

PROPERTY = settings(deadline=None, derandomize=True, max_examples=60)
FEW_EXAMPLES = settings(deadline=None, derandomize=True, max_examples=20)

CODECS = [
    Zstd(),
    Zstd(level=1, window_log=17, piece_size=100_000),
    Zstd(level=19, window_log=20, piece_size=1 << 20),
    Gzip(),
    Gzip(level=1, piece_size=70_000),
    Gzip(level=12, piece_size=1 << 20),
]
TOOLS = {"zst": [["zstd", "-dqc"]], "gz": [["gzip", "-dc"], ["pigz", "-dc"]]}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return input_file(tmp_path_factory.mktemp("compression"))


def decompress(data, codec):
    if codec.name == "gz":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def decompressed_by(tool, path):
    command = [oracle(tool[0]), *tool[1:]]
    with open(path, "rb") as data:
        done = subprocess.run(command, stdin=data, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@PROPERTY
@given(data=st.data(), codec=st.sampled_from(CODECS))
def test_same_bytes_whatever_the_number_of_threads(file, data, codec):
    image = data.draw(images(file))
    first = list(compressed(image, codec, 1))
    assert sum(length for length, _ in first) == image.size
    assert decompress(b"".join(piece for _, piece in first), codec) == content(image)
    for threads in (2, 5, None):
        assert list(compressed(image, codec, threads)) == first


@FEW_EXAMPLES
@given(data=st.data(), codec=st.sampled_from(CODECS))
def test_tools_decompress_it(file, tmp_path_factory, data, codec):
    image = data.draw(images(file))
    path = tmp_path_factory.mktemp("compressed") / "data"
    write_compressed(image, path, codec)
    for tool in TOOLS[codec.name]:
        assert decompressed_by(tool, path) == content(image)
    assert content_size(open_compressed(path), codec) == image.size
    path.unlink()


@PROPERTY
@given(data=st.data(), codec=st.sampled_from(CODECS[1:5:3]))
def test_payloads_are_reused(file, tmp_path_factory, data, codec):
    """A file with reused compressed ranges decompresses to the same bytes as one without."""
    image = data.draw(images(file))
    bounds = sorted(data.draw(st.lists(st.integers(0, image.size), max_size=6)))
    folder = tmp_path_factory.mktemp("payloads")
    payloads = []
    for number, (begin, end) in enumerate(zip(bounds[::2], bounds[1::2], strict=False)):
        write_compressed(image.slice(begin, end - begin), folder / str(number), codec)
        payloads.append(Payload(begin, end - begin, open_compressed(folder / str(number))))
    done = []
    digest = RunningDigest()
    write_compressed(image, folder / "all", codec, payloads=payloads, progress=done.append, digest=digest)
    whole = (folder / "all").read_bytes()
    assert digest.digest() == hashlib.sha256(whole).digest()
    assert decompress(whole, codec) == content(image)
    assert sum(done) == image.size
    for payload in payloads:
        assert (folder / payload.data.path).read_bytes() in whole
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_compresses_to_a_valid_file(tmp_path, codec):
    write_compressed(Image(0), tmp_path / "data", codec)
    for tool in TOOLS[codec.name]:
        assert decompressed_by(tool, tmp_path / "data") == b""
    assert content_size(open_compressed(tmp_path / "data"), codec) == 0


@pytest.mark.parametrize("codec", [Zstd(), Gzip()])
def test_holes_are_compressed_once(codec):
    image = Image(100 << 30, [Extent(50 << 30, 10, Pattern(b"x"))])
    sizes = []
    distinct = set()
    for length, data in compressed(image, codec):
        sizes.append(length)
        distinct.add(bytes(data))
    assert sum(sizes) == image.size
    assert len(distinct) == 2


def test_gzip_header_names_nothing():
    ((_, data),) = compressed(Image.from_bytes(b"abc"), Gzip())
    magic, flags, mtime, hints, system = struct.unpack_from("<3sBLBB", data)
    assert (magic, flags, mtime, hints, system) == (b"\x1f\x8b\x08", 4, 0, 0, 255)
    assert struct.unpack_from("<H2sHL", data, 10) == (8, b"SZ", 4, len(data))


def test_zstd_window_is_one_that_every_decoder_supports():
    image = Image.from_bytes(os.urandom(100) * 200_000)
    frames = [zstandard.get_frame_parameters(bytes(data)) for _, data in compressed(image, Zstd())]
    assert [frame.content_size for frame in frames] == [8 << 20, 8 << 20, 20_000_000 - (16 << 20)]
    assert all(frame.window_size <= 8 << 20 and frame.has_checksum for frame in frames)


def test_long_distance_matches_are_found():
    block = os.urandom(3 << 20)
    image = Image.from_bytes(block + bytes(1 << 20) + block)
    assert sum(len(data) for _, data in compressed(image, Zstd())) < 1.1 * len(block)
    short = Zstd(window_log=20)
    assert sum(len(data) for _, data in compressed(image, short)) > 1.9 * len(block)


@pytest.mark.parametrize(("window_log", "gap"), [(23, 7 << 20), (26, 50 << 20)])
def test_short_matches_are_found_in_the_whole_window(window_log, gap):
    block = os.urandom(64 << 10)
    image = Image.from_bytes(block + os.urandom(gap) + block)
    codec = Zstd(window_log=window_log, piece_size=64 << 20)
    assert sum(len(data) for _, data in compressed(image, codec, threads=1)) < image.size - 0.9 * len(block)


@pytest.mark.parametrize("codec", [CODECS[1], CODECS[4]])
def test_damaged_payload_is_refused(file, tmp_path, codec):
    image = Image(1_000_000, [Extent(0, 900_000, Data(file.read(0, 900_000)))])
    path = tmp_path / "data"
    write_compressed(image, path, codec)
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 40_009), 1, 5, 20, len(whole) - 1, len(whole) - 5}:
        path.write_bytes(whole[:length])
        size = 0
        with contextlib.suppress(UserError):  # at the end of a piece the file is valid, but too short
            size = content_size(open_compressed(path), codec)
        assert size < image.size
    for damaged in (whole + b"x", b"x" + whole, whole[:100] + whole, b"x" * 1000, bytes(1000)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="data: "):
            content_size(open_compressed(path), codec)


@pytest.mark.parametrize("codec", [Zstd(), Gzip()])
def test_payload_of_other_data_is_refused(tmp_path, codec):
    write_compressed(Image(5000), tmp_path / "other", codec)
    payload = Payload(4096, 4096, open_compressed(tmp_path / "other"))
    with pytest.raises(UserError, match=r"other: holds 5000 bytes compressed, .* has 4096 bytes of data"):
        write_compressed(Image(9000), tmp_path / "out", codec, payloads=[payload])
    assert not (tmp_path / "out").exists()
