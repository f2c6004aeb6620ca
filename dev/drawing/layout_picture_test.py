import struct
import zlib

import pytest

from dev.drawing import lettering
from dev.drawing.canvas import Canvas
from dev.drawing.layout_picture import draw, size_text
from tools.core.errors import UserError
from tools.gpt.layout import parse_layout

MIB, GIB = 1 << 20, 1 << 30
LAYOUT = "esp,,204800,U,,first\nA_root,,4194304,L,,one\nB_root,,4194304,L,,other\nstore,,,L,,\n"
GREEN, BLUE, WHITE = (64, 158, 90), (58, 118, 196), (255, 255, 255)


def pixels(png):
    """Returns width, height and a function that gives the colour of a pixel, from the bytes of a PNG."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data = png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *kind = struct.unpack(">2I5B", chunks[b"IHDR"])
    assert kind == [8, 2, 0, 0, 0]
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (1 + 3 * width)
    assert not any(rows[:: 1 + 3 * width])
    return width, height, lambda x, y: tuple(rows[y * (1 + 3 * width) + 1 + 3 * x :][:3])


def test_bar_is_to_scale():
    _width, height, at = pixels(draw(parse_layout(LAYOUT, "p.csv"), 5 * GIB).png())
    top, bottom = 28, height - 44
    column = [at(60, y) for y in range(top, bottom)]
    for color in (GREEN, BLUE):
        assert abs(column.count(color) - (bottom - top) * 2 / 5) <= 2
    assert column.index(GREEN) < column.index(BLUE)


def test_same_bytes_each_time():
    layout = parse_layout(LAYOUT, "p.csv")
    assert draw(layout, 5 * GIB).png() == draw(layout, 5 * GIB).png()


def test_partition_past_the_end():
    with pytest.raises(UserError, match=r"^p.csv:3: B_root ends past the end of a disk of 4 GiB"):
        draw(parse_layout(LAYOUT, "p.csv"), 4 * GIB)
    with pytest.raises(UserError, match=r"^p.csv:4: store ends past the end"):
        draw(parse_layout(LAYOUT, "p.csv"), 4197 * MIB)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (512, "512 B"), (1024, "1 KiB"), (100 * MIB, "100 MiB"), (GIB, "1 GiB"), (8282701824, "7.7 GiB")],
)
def test_sizes(size, text):
    assert size_text(size) == text


def test_every_glyph_is_on_its_grid():
    for character in map(chr, range(0x20, 0x7F)):
        for stroke in lettering.strokes(character, 0, 6, 1):
            assert all(0 <= x <= 4 and 0 <= y <= 8 for x, y in stroke), character


def test_letters_are_told_apart():
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;'-_/()"
    drawn = {str(list(lettering.strokes(letter, 0, 0, 1))) for letter in letters}
    assert len(drawn) == len(letters)


def test_line_covers_pixels_smoothly():
    canvas = Canvas(9, 9)
    canvas.line([(2.5, 4.5), (6.5, 4.5)], 2, (0, 0, 0))
    _, _, at = pixels(canvas.png())
    assert at(4, 4) == (0, 0, 0)
    assert at(4, 5) == at(4, 3)
    assert (0, 0, 0) < at(4, 5) < WHITE
    assert at(4, 7) == at(0, 0) == WHITE
