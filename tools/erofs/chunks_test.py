"""Tests how files with holes are stored."""

import pytest
from hypothesis import given

from tools.erofs.chunks import choose_chunks
from tools.image.extents import Data, Extent, Image
from tools.testing.trees import contents

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


def content(size, *places):
    return Image(size, [Extent(begin, end - begin, Data(b"x" * (end - begin))) for begin, end in places])


def stored(image, bits, chunks):
    blocks = -(-image.size // 4096)
    table = 4 * -(-blocks >> bits)
    return table + 4096 * sum(min(1 << bits, blocks - (chunk << bits)) for chunk in chunks)


def test_files_without_whole_holes_have_no_chunks():
    assert choose_chunks(content(0)) is None
    assert choose_chunks(content(10_000, (0, 10_000))) is None
    assert choose_chunks(content(10_000, (100, 200), (5000, 5001), (9999, 10_000))) is None


@pytest.mark.parametrize(
    ("image", "bits", "chunks"),
    [
        (content(8 * KIB, (4096, 8192)), 0, [1]),
        (content(100), 0, []),
        (content(TIB), 28, []),
        (content(GIB, (0, 4096)), 4, [0]),  # 64 KiB of addresses, 64 KiB of data
        (content(64 * KIB, (0, 32 * KIB)), 3, [0]),
    ],
)
def test_chunk_sizes(image, bits, chunks):
    assert choose_chunks(image) == (bits, chunks)


def test_a_large_file_with_little_data_takes_little():
    image = content(8 << 40, (0, 10), (5 << 40, (5 << 40) + 5000), ((8 << 40) - 1, 8 << 40))
    bits, chunks = choose_chunks(image)
    assert len(chunks) == 3
    assert stored(image, bits, chunks) < 32 * MIB


@given(contents())
def test_all_data_is_in_chunks_and_takes_less_than_without(image):
    found = choose_chunks(image)
    if found is None:
        return
    bits, chunks = found
    size = 4096 << bits
    assert chunks == sorted(set(chunks))
    assert stored(image, bits, chunks) < -(-image.size // 4096) * 4096
    for extent in image.extents:
        assert set(range(extent.offset // size, -(-extent.end // size))) <= set(chunks)
