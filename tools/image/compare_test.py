from hypothesis import given, settings
from hypothesis import strategies as st

from tools.image.compare import differing_blocks, first_difference
from tools.image.extents import Data, Extent, FileRange, Image, InputFile


@st.composite
def images(draw):
    """Generates images of zeros and one other byte, so that some are equal."""
    total = draw(st.integers(0, 40))
    extents, offset = [], 0
    while offset < total:
        offset += draw(st.integers(0, 5))
        length = min(draw(st.integers(1, 8)), total - offset)
        if length > 0:
            data = bytes(draw(st.lists(st.sampled_from([0, 0, 0, 1]), min_size=length, max_size=length)))
            extents.append(Extent(offset, length, Data(data)))
            offset += length
    return Image(total, extents)


def naive(left, right):
    one, other = left.read(0, left.size), right.read(0, right.size)
    for offset, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return offset
    return None if len(one) == len(other) else min(len(one), len(other))


@settings(deadline=None, derandomize=True, max_examples=500)
@given(images(), images())
def test_agrees_with_comparing_byte_by_byte(left, right):
    assert first_difference(left, right) == naive(left, right)


@settings(deadline=None, derandomize=True)
@given(images())
def test_holes_equal_zeros(image):
    assert first_difference(image, Image.from_bytes(image.read(0, image.size))) is None


def test_finds_a_byte_in_a_later_chunk():
    data = bytearray(b"x" * (3 << 20))
    changed = bytearray(data)
    changed[(2 << 20) + 12345] = 0
    assert first_difference(Image.from_bytes(bytes(data)), Image.from_bytes(bytes(changed))) == (2 << 20) + 12345


def test_terabytes_of_holes_cost_nothing():
    end = 1 << 44
    left = Image(end, [Extent(end - 1, 1, Data(b"a"))])
    assert first_difference(left, Image(end)) == end - 1
    assert first_difference(left, Image(end, left.extents)) is None


def test_same_range_of_a_file_is_not_read(tmp_path):
    missing = InputFile(tmp_path / "missing")
    left = Image(1 << 40, [Extent(0, 1 << 40, FileRange(missing, 7))])
    right = Image(1 << 40, [Extent(5, (1 << 40) - 5, FileRange(missing, 12)), Extent(0, 5, FileRange(missing, 7))])
    assert first_difference(left, right) is None


@settings(deadline=None, derandomize=True, max_examples=300)
@given(images(), images(), st.integers(1, 9))
def test_differing_blocks_agree_with_comparing_blocks(left, right, size):
    left, right = (Image(40, image.extents) for image in (left, right))
    one, other = (image.read(0, 40) for image in (left, right))
    expected = {
        number for number in range(-(-40 // size)) if one[number * size :][:size] != other[number * size :][:size]
    }
    assert differing_blocks(left, right, size) == expected
