"""Blocks are decompressed to what they were, and damaged or endless ones are refused."""

import lzma
import random
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.squashfs.compression import COMPRESSIONS, encoder
from tools.squashfs.decompression import decoder

BLOCK = 8192


@given(st.one_of(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=9).map(lambda word: word * 900)))
def test_round_trip(data):
    for each in COMPRESSIONS.values():
        packed = encoder(each.name, each.default_level)(data)
        assert len(packed) <= len(data)
        if len(packed) < len(data):
            assert decoder(each.number)(bytes(packed), BLOCK) == data


def test_what_does_not_become_smaller_stays():
    noise = random.Random(1).randbytes(BLOCK)
    for each in COMPRESSIONS.values():
        assert encoder(each.name, each.default_level)(noise) == noise


def test_xz_is_read():
    assert decoder(4)(lzma.compress(b"x" * BLOCK), BLOCK) == b"x" * BLOCK


PACKED = [
    pytest.param(1, zlib.compress(bytes(64 << 20)), id="zlib"),
    pytest.param(4, lzma.compress(bytes(64 << 20)), id="xz"),
    pytest.param(6, zstandard.compress(bytes(64 << 20)), id="zstd"),
    pytest.param(6, zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 << 20)), id="zstd-no-size"),
]


@pytest.mark.parametrize(("number", "packed"), PACKED)
def test_more_than_a_block_is_refused(number, packed):
    with pytest.raises(ValueError, match=r"^it "):
        decoder(number)(packed, BLOCK)


@pytest.mark.parametrize(("number", "packed"), PACKED)
def test_damage_is_refused(number, packed):
    for damaged in (b"", b"\0" * 20, packed[:-1][:100], b"x" + packed):
        with pytest.raises(ValueError, match=r"^it "):
            decoder(number)(damaged, BLOCK)


@pytest.mark.parametrize(("number", "name"), [(2, "lzma"), (3, "lzo"), (5, "lz4"), (7, "number 7")])
def test_other_compressions_are_named(number, name):
    with pytest.raises(UserError, match=f"compression is {name}, which is not supported; only gzip, xz and zstd are"):
        decoder(number)
