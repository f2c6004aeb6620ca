import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.image.extents import Data, Extent, FileRange, Image, InputFile, Pattern
from tools.image.holes import Range, data_ranges, packed, trimmed
from tools.testing.images import content, images, input_file

PROPERTY = settings(deadline=None, derandomize=True, max_examples=100)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return input_file(tmp_path_factory.mktemp("holes"))


def test_ranges_are_whole_blocks_and_merged():
    image = Image(40000, [Extent(offset, 1, Pattern(b"x")) for offset in (0, 4095, 4096, 12288, 20480, 39999)])
    assert data_ranges(image) == [(0, 8192), (12288, 16384), (20480, 24576), (36864, 40000)]
    assert data_ranges(image, 512) == [
        (0, 512), (3584, 4608), (12288, 12800), (20480, 20992), (39936, 40000),
    ]  # fmt: skip


@PROPERTY
@given(data=st.data(), block_size=st.sampled_from([1, 512, 4096]))
def test_packed_ranges_are_all_of_the_data(file, data, block_size):
    image = data.draw(images(file))
    ranges = data_ranges(image, block_size)
    assert all(begin % block_size == 0 and (end % block_size == 0 or end == image.size) for begin, end in ranges)
    assert all(before.end < after.begin for before, after in itertools.pairwise(ranges))
    whole = content(image)
    pack = packed(image, ranges)
    assert content(pack) == b"".join(whole[begin:end] for begin, end in ranges)
    assert content(Image(image.size, [Extent(b, e - b, Data(whole[b:e])) for b, e in ranges])) == whole


def test_packed_refuses_a_map_that_misses_data():
    image = Image(9000, [Extent(100, 10, Pattern(b"x")), Extent(8192, 10, Pattern(b"y"))])
    for ranges in ([(0, 4096)], [(0, 105), (8192, 8202)], [(8192, 9000)]):
        with pytest.raises(ValueError, match="range of the map"):
            packed(image, [Range(*bounds) for bounds in ranges])


def test_packing_joins_what_stands_together_in_a_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(range(100)))
    file = InputFile(path)
    image = Image(90000, [Extent(4096 * n, 10, FileRange(file, 10 * n)) for n in range(5)])
    assert len(packed(image, data_ranges(image, 1)).extents) == 1


@PROPERTY
@given(data=st.data(), block_size=st.sampled_from([512, 4096]))
def test_trimmed_map_depends_on_content_alone(file, data, block_size):
    image = data.draw(images(file))
    whole = content(image)
    kept = trimmed(image, block_size)
    assert content(kept) == whole
    blocks = range(0, len(whole), block_size)
    mapped = {offset for begin, end in data_ranges(kept, block_size) for offset in range(begin, end, block_size)}
    assert mapped == {offset for offset in blocks if any(whole[offset : offset + block_size])}
