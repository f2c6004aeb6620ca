import pytest

from dev.drawing.layout_picture import draw, size_text
from tools.core.errors import UserError
from tools.gpt.layout import parse_layout

MIB, GIB = 1 << 20, 1 << 30
LAYOUT = "esp,,204800,U,,first\nA_root,,4194304,L,,one\nB_root,,4194304,L,,other\nstore,,,L,,\n"
GREEN, BLUE = (64, 158, 90), (58, 118, 196)


def test_bar_is_to_scale():
    picture = draw(parse_layout(LAYOUT, "p.csv"), 5 * GIB)
    top, bottom = 28, picture.height - 44
    column = [picture.getpixel((60, y)) for y in range(top, bottom)]
    for color in (GREEN, BLUE):
        assert abs(column.count(color) - (bottom - top) * 2 / 5) <= 2
    assert column.index(GREEN) < column.index(BLUE)


def test_same_pixels_each_time():
    layout = parse_layout(LAYOUT, "p.csv")
    assert draw(layout, 5 * GIB).tobytes() == draw(layout, 5 * GIB).tobytes()


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
