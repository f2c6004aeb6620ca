import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, FileRange, Image, InputFile, Pattern
from tools.testing.images import content, images, input_file

PROPERTY = settings(deadline=None, derandomize=True, max_examples=100)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return input_file(tmp_path_factory.mktemp("extents"))


def test_overlap_is_refused():
    with pytest.raises(ValueError, match="extent at 3 overlaps"):
        Image(10, [Extent(3, 2, Pattern(b"a")), Extent(0, 4, Pattern(b"b"))])


def test_extent_past_the_end_is_refused():
    with pytest.raises(ValueError, match="after the end of the image at 10"):
        Image(10, [Extent(8, 3, Pattern(b"a"))])


@PROPERTY
@given(data=st.data())
def test_slices_read_as_the_same_bytes(file, data):
    image = data.draw(images(file))
    whole = content(image)
    begin = data.draw(st.integers(0, image.size))
    end = data.draw(st.integers(begin, image.size))
    assert image.read(begin, end - begin) == whole[begin:end]
    assert content(image.slice(begin, end - begin)) == whole[begin:end]
    chunks = bytearray(image.size)
    for offset, buffer in image.chunks(5000):
        chunks[offset : offset + len(buffer)] = buffer
    assert chunks == whole


@PROPERTY
@given(data=st.data())
def test_composition_places_images(file, data):
    parts = data.draw(st.lists(st.tuples(st.integers(0, 9000), images(file, largest=9000)), max_size=4))
    placed, end = [], 0
    expected = bytearray()
    for gap, image in parts:
        placed.append((end + gap, image))
        expected += bytes(gap) + content(image)
        end += gap + image.size
    assert content(Image.compose(end, reversed(placed))) == expected


def test_file_that_ends_early_is_an_error_with_its_path(tmp_path):
    path = tmp_path / "short"
    path.write_bytes(b"12345")
    image = Image(10, [Extent(0, 10, FileRange(InputFile(path)))])
    with pytest.raises(UserError, match=r"short: ends before byte 10; it is truncated"):
        image.read(0, 10)
    with pytest.raises(UserError, match=r"short: ends before byte 10; it is truncated"):
        list(image.chunks())


def test_missing_file_and_folder_are_errors_with_their_paths(tmp_path):
    with pytest.raises(UserError, match=r"none: cannot be read: No such file or directory"):
        InputFile(tmp_path / "none").read(0, 1)
    with pytest.raises(UserError, match=r"is a directory, not a file"):
        InputFile(tmp_path).size()


def test_more_files_than_a_process_may_open(tmp_path):
    files = []
    for number in range(700):
        path = tmp_path / str(number)
        path.write_text(f"{number:04}")
        files.append(InputFile(path))
    before = len(os.listdir("/proc/self/fd"))
    image = Image(2800, [Extent(4 * number, 4, FileRange(file)) for number, file in enumerate(files)])
    for _ in range(2):
        assert image.read(0, 2800) == "".join(f"{number:04}" for number in range(700)).encode()
    assert len(os.listdir("/proc/self/fd")) <= before + 256


def test_description_of_a_huge_image_costs_nothing():
    image = Image(16 << 40, [Extent(15 << 40, 3, Data(b"abc"))])
    assert image.slice(10 << 40, 6 << 40).read(5 << 40, 4) == b"abc\0"
    assert image.data_size == 3
