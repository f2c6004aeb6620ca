import io
import lzma
import os

import pytest
import zstandard

from tools.core.frames import xz_reader, zstd_reader

DATA = os.urandom(30_000)
KINDS = [(zstd_reader, zstandard.compress), (xz_reader, lzma.compress)]
DAMAGE = (EOFError, lzma.LZMAError, zstandard.ZstdError)


def read(reader, data):
    return io.BufferedReader(reader(io.BytesIO(data))).read()


@pytest.mark.parametrize(("reader", "compress"), KINDS)
def test_reads_all_frames(reader, compress):
    assert read(reader, b"") == b""
    assert read(reader, compress(DATA[:9000]) + compress(b"") + compress(DATA[9000:])) == DATA


@pytest.mark.parametrize(("reader", "compress"), KINDS)
def test_what_ends_inside_a_frame_is_an_error(reader, compress):
    one = compress(DATA)
    for whole in (one, compress(b"first") + one):
        for cut in (1, 4, 5000, len(one) - 3):
            with pytest.raises(EOFError, match="truncated"):
                read(reader, whole[:-cut])


@pytest.mark.parametrize(("reader", "compress"), KINDS)
def test_what_follows_a_frame_must_be_one(reader, compress):
    with pytest.raises(DAMAGE):
        read(reader, compress(DATA) + b"something else")
