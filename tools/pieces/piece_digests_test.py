import hashlib
import json

import pytest

from tools.core.errors import UserError
from tools.image.digest import PIECE_SIZE as MANIFEST_PIECE_SIZE
from tools.image.digest import piece_digests
from tools.image.extents import Data, Extent, Image, Pattern
from tools.pieces.piece_digests import PIECE_SIZE, digests_of, pieces_with_data, read_piece_digests

MIB = 1 << 20
IMAGE = Image(
    6 * MIB + 4096,
    [
        Extent(100, 50, Data(b"a" * 50)),
        Extent(MIB - 7, MIB + 14, Pattern(b"abc")),
        Extent(4 * MIB, MIB, Data(bytes(MIB))),
        Extent(6 * MIB, 4096, Pattern(b"end")),
    ],
)


def test_pieces_are_those_of_a_manifest():
    assert PIECE_SIZE == MANIFEST_PIECE_SIZE


def test_digests_are_of_the_pieces_with_data():
    digests = digests_of(IMAGE)
    assert digests.size == IMAGE.size
    assert digests.pieces.keys() == pieces_with_data(IMAGE) == {0, 1, 2, 4, 6}
    every = list(piece_digests(IMAGE))
    assert digests.pieces == {number: every[number] for number in digests.pieces}
    assert digests.pieces[6] == hashlib.sha256((b"end" * 4096)[:4096]).digest()


def test_file_has_them(tmp_path):
    digests_of(IMAGE).write(tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["pieces"]["4"] == hashlib.sha256(bytes(MIB)).hexdigest()
    assert read_piece_digests(tmp_path / "x.json", IMAGE) == digests_of(IMAGE)


@pytest.mark.parametrize(
    "image",
    [
        IMAGE.resized(7 * MIB),
        Image(IMAGE.size, IMAGE.extents[1:3]),
        Image(IMAGE.size, [*IMAGE.extents, Extent(5 * MIB, 1, Data(b"a"))]),
    ],
)
def test_digests_of_another_image_are_an_error(tmp_path, image):
    digests_of(IMAGE).write(tmp_path / "x.json")
    with pytest.raises(
        UserError, match=r"x\.json: is of another image: of 6295552 bytes with data in 5 pieces, not of"
    ):
        read_piece_digests(tmp_path / "x.json", image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2 and pieces of 1048576 bytes; make it again"),
        ({"piece_size": 4096}, "has format 1 and pieces of 4096 bytes; make it again"),
        ({"pieces": {"0": "xy"}}, "pieces: '0': 'xy' is no SHA-256 of a piece with a number"),
        ({"pieces": {"-1": 64 * "0"}}, "pieces: '-1': '0000"),
        ({"size": "x"}, "size: must be a whole number"),
    ],
)
def test_other_files_are_an_error(tmp_path, change, message):
    digests_of(IMAGE).write(tmp_path / "x.json")
    value = json.loads((tmp_path / "x.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps(value | change))
    with pytest.raises(UserError, match=message):
        read_piece_digests(tmp_path / "x.json", IMAGE)
