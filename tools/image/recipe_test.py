import contextlib
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, FileRange, Image, InputFile, Pattern
from tools.image.holes import data_ranges
from tools.image.rawfile import write_raw
from tools.image.recipe import recipe_of
from tools.image.recipe_format import FILE, HEADER, PATTERN
from tools.image.recipe_reader import is_recipe, open_recipe
from tools.testing.images import content, images, input_file

PROPERTY = settings(deadline=None, derandomize=True, max_examples=100)
FILE_TABLE = HEADER.size
PATTERN_TABLE = FILE_TABLE + 2 * FILE.size
RANGE_TABLE = PATTERN_TABLE + PATTERN.size


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recipe")


@pytest.fixture(scope="module")
def file(folder):
    return input_file(folder)


def written(image, files, folder, block_size=4096):
    write_raw(recipe_of(image, files, block_size), folder / "recipe")
    return folder / "recipe"


@PROPERTY
@given(data=st.data(), block_size=st.sampled_from([512, 1024, 4096, 65536]), known=st.booleans())
def test_a_recipe_has_the_image_and_its_map(file, folder, data, block_size, known):
    image = data.draw(images(file))
    files = [file.path] if known else []
    opened = open_recipe(written(image, files, folder, block_size), files)
    assert opened.size == image.size
    assert content(opened) == content(image)
    assert [(extent.offset, extent.end) for extent in opened.extents] == data_ranges(image, block_size)


@PROPERTY
@given(data=st.data())
def test_any_part_of_it_reads_as_the_same_bytes(file, folder, data):
    image = data.draw(images(file))
    opened = open_recipe(written(image, [file.path], folder), [file.path])
    begin = data.draw(st.integers(0, image.size))
    end = data.draw(st.integers(begin, image.size))
    assert opened.read(begin, end - begin) == image.read(begin, end - begin)
    assert content(opened.slice(begin, end - begin)) == content(image)[begin:end]


def sample(folder):
    """Returns an image with ranges of two files, data and a pattern, and the two files."""
    for name in ("one", "two"):
        (folder / name).write_bytes(name.encode() * 3000)
    files = [folder / "one", folder / "two"]
    sources = [FileRange(InputFile(file), 7) for file in files]
    extents = [
        Extent(0, 5000, sources[0]),
        Extent(8192, 100, Data(bytes(range(100)))),
        Extent(8292, 3900, sources[1]),
        Extent(1 << 20, 1 << 20, Pattern(b"hash", 1)),
    ]
    return Image(3 << 20, extents), files


def test_data_of_the_files_is_not_in_it(tmp_path):
    image, files = sample(tmp_path)
    recipe = written(image, files, tmp_path)
    assert recipe.stat().st_size == RANGE_TABLE + 4 * 32 + 100 + 4
    assert is_recipe(recipe)
    assert not is_recipe(files[0])


def test_the_files_may_be_elsewhere(tmp_path):
    image, files = sample(tmp_path)
    recipe = written(image, files, tmp_path)
    moved = [file.rename(tmp_path / f"moved-{file.name}") for file in files]
    assert str(tmp_path).encode() not in recipe.read_bytes()
    assert content(open_recipe(recipe, moved))[:5000] == (b"one" * 3000)[7:5007]


def test_files_in_folders_are_counted_in_the_order_of_their_names(tmp_path):
    below = tmp_path / "folder/below"
    below.mkdir(parents=True)
    names = ["folder/b", "folder/a", "folder/below/c"]
    for name in names:
        (tmp_path / name).write_text(name)
    extents = [Extent(512 * n, 8, FileRange(InputFile(tmp_path / name))) for n, name in enumerate(names)]
    image = Image(2048, extents)
    recipe = written(image, [tmp_path / "folder"], tmp_path, 512)
    assert recipe.stat().st_size == HEADER.size + 3 * (FILE.size + 32)
    (tmp_path / "folder").rename(tmp_path / "other")
    opened = open_recipe(recipe, [tmp_path / "other"])
    assert [opened.read(512 * n, 8) for n in range(3)] == [name.encode()[:8] for name in names]


def test_extents_that_go_on_in_the_same_file_are_one_range(tmp_path):
    (tmp_path / "file").write_bytes(bytes(9000))
    parts = [Extent(n, 100, FileRange(InputFile(tmp_path / "file"), n)) for n in range(0, 9000, 100)]
    data = [Extent(9000 + n, 1, Data(b"x")) for n in range(100)]
    recipe = written(Image(9100, [*parts, *data]), [tmp_path / "file"], tmp_path)
    assert recipe.stat().st_size == HEADER.size + FILE.size + 2 * 32 + 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one, two: one.write_bytes(one.read_bytes() + b"x"),
            "one: has 9001 bytes, and .*recipe was made with a",
        ),
        (lambda one, two: two.write_bytes(b"x" + two.read_bytes()[1:]), "two: is not the file that .*recipe was made"),
        (lambda one, two: two.unlink(), "two: cannot be read"),
    ],
)
def test_other_files_are_an_error(tmp_path, change, message):
    image, files = sample(tmp_path)
    recipe = written(image, files, tmp_path)
    change(*files)
    with pytest.raises(UserError, match=message):
        open_recipe(recipe, files)


def test_other_numbers_of_files_are_an_error(tmp_path):
    image, files = sample(tmp_path)
    recipe = written(image, files, tmp_path)
    for given_files in (files[:1], [*files, *files], []):
        with pytest.raises(UserError, match=f"was made with 2 files, and {len(given_files)} are given; give the same"):
            open_recipe(recipe, given_files)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 1, "is no recipe of an image"),
        (8, 2, "has format 2, and 1 is known"),
        (12, 4097, "is damaged: it has blocks of 4097 bytes"),
        (12, 0, "is damaged: it has blocks of 0 bytes"),
        (16, 1 << 20, "is damaged: it has a range of 1048576 bytes at byte 1048576, after one that ends at 12192"),
        (24, 3, "was made with 3 files, and 2 are given"),
        (32, 1 << 60, "is damaged: its tables end at byte "),
        (40, 1 << 60, "is damaged: its tables end at byte "),
        (48, 1 << 60, "is damaged: its tables end at byte "),
        (FILE_TABLE, 2, "is damaged: it has a range of file 2 of 2"),
        (FILE_TABLE + 8, 1, "one: has 9000 bytes, and .*recipe was made with a file of 1;"),
        (PATTERN_TABLE, 1 << 60, "is damaged: it has a pattern of 4 bytes at byte "),
        (PATTERN_TABLE + 8, 0, "is damaged: it has a pattern of 0 bytes at byte 100 of its data"),
        (PATTERN_TABLE + 8, 5, "is damaged: it has a pattern of 5 bytes at byte 100 of its data"),
        (RANGE_TABLE, 9000, "is damaged: it has a range of 100 bytes at byte 8192, after one that ends at 14000"),
        (RANGE_TABLE + 8, 0, "is damaged: it has a range of 0 bytes at byte 0"),
        (RANGE_TABLE + 16, 4, "is damaged: the range at byte 0 is from byte 7 of source 4, which is less"),
        (RANGE_TABLE + 24, 4001, "is damaged: the range at byte 0 is from byte 4001 of source 1, which is less"),
        (
            RANGE_TABLE + 3 * 32 + 24,
            4,
            "is damaged: the range at byte 1048576 is from byte 4 of source 3, which is less",
        ),
    ],
)
def test_damage_is_an_error(tmp_path, at, value, message):
    image, files = sample(tmp_path)
    recipe = written(image, files, tmp_path)
    damaged = bytearray(recipe.read_bytes())
    kind = "<I" if at in {8, 12} else "<Q"
    struct.pack_into(kind, damaged, at, value)
    recipe.write_bytes(damaged)
    with pytest.raises(UserError, match=message):
        open_recipe(recipe, files)


def test_no_damage_is_more_than_an_error(tmp_path):
    image, files = sample(tmp_path)
    recipe = written(image, files, tmp_path)
    whole = recipe.read_bytes()
    chosen = random.Random(0)
    for _ in range(500):
        damaged = bytearray(whole[: chosen.choice([len(whole), chosen.randrange(len(whole))])])
        for _ in range(chosen.randrange(3)):
            if damaged:
                damaged[chosen.randrange(len(damaged))] = chosen.choice([0, 1, 255, chosen.randrange(256)])
        recipe.write_bytes(damaged)
        with contextlib.suppress(UserError):
            opened = open_recipe(recipe, files)
            opened.read(0, min(opened.size, 4 << 20))
