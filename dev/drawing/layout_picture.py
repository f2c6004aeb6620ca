"""A picture of a disk layout: the disk to scale, and beside it what its partitions are."""

from __future__ import annotations

import functools

from PIL import Image, ImageDraw, ImageFont

from tools.core.errors import UserError
from tools.gpt.layout import Layout, Partition

Point = tuple[float, float]
"""Pixels from the left and from the top."""

Color = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

_INK: Color = (38, 38, 38)
_FAINT: Color = (96, 96, 96)
_LINE: Color = (160, 160, 160)
_COLORS: dict[str, tuple[Color, Color]] = {
    "A": ((64, 158, 90), (223, 242, 228)),
    "B": ((58, 118, 196), (222, 234, 250)),
    "": ((140, 140, 140), (240, 240, 240)),
}
"""Strong and light colour by partition set: A green, B blue."""

_MARGIN = 28
_WIDTH = 960
_BAR = (_MARGIN, _MARGIN + 96)
_ROW_LEFT = 240
_ROW_HEIGHT, _ROW_GAP = 50, 8
_CAPTION = 44
_STRIP = 8
_SCALE = 4
"""The picture is drawn that many times as large, for smooth lines."""
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


class _Canvas:
    """A picture, white at first; coordinates are in pixels from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, left: int, top: int, right: int, bottom: int, color: Color) -> None:
        """Fills a rectangle; right and bottom are outside it."""
        corner = (right * _SCALE - 1, bottom * _SCALE - 1)
        self._draw.rectangle(((left * _SCALE, top * _SCALE), corner), color)

    def line(self, *points: Point) -> None:
        """Draws lines from point to point."""
        self._draw.line([(x * _SCALE, y * _SCALE) for x, y in points], _LINE, _SCALE)

    def text(self, text: str, at: Point, size: int, color: Color, anchor: str = "l") -> None:
        """Draws a line of text that starts (`l`), ends (`r`) or has its middle (`m`) at a point of its baseline."""
        self._draw.text((at[0] * _SCALE, at[1] * _SCALE), text, color, _font(size), anchor + "s")

    def picture(self) -> Image.Image:
        """Returns the picture in its own size."""
        return self._image.reduce(_SCALE)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size * _SCALE)
    assert isinstance(font, ImageFont.FreeTypeFont)
    # Not by Raqm, which is used where the machine has FriBiDi.
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def draw(layout: Layout, disk_size: int) -> Image.Image:
    """Returns a picture of a layout on a disk.

    Args:
        layout: with as many rows as the picture gets.
        disk_size: in bytes; partitions that take the rest end there.

    Raises:
        UserError: a partition starts after the end of the disk or ends there.
    """
    height = len(layout.partitions) * (_ROW_HEIGHT + _ROW_GAP) - _ROW_GAP
    canvas = _Canvas(_WIDTH, _MARGIN + height + _CAPTION)
    for row, partition in enumerate(layout.partitions):
        end = disk_size if partition.size is None else partition.offset + partition.size
        if not partition.offset < end <= disk_size:
            raise UserError(
                f"{partition.origin}: {partition.name} ends past the end of a disk of {size_text(disk_size)}"
            )
        row_top = _MARGIN + row * (_ROW_HEIGHT + _ROW_GAP)
        begin_y, end_y = (_MARGIN + position * height // disk_size for position in (partition.offset, end))
        end_y = max(end_y - 1, begin_y + 1)  # a gap to the next one, but no partition vanishes
        canvas.fill(_BAR[0], begin_y, _BAR[1], end_y, _colors(partition)[0])
        _connect(canvas, (begin_y + end_y) / 2, row_top + _ROW_HEIGHT / 2)
        _draw_row(canvas, partition, row_top, end - partition.offset)
    canvas.text(size_text(disk_size), (sum(_BAR) / 2, _MARGIN + height + 22), 15, _FAINT, "m")
    return canvas.picture()


def _connect(canvas: _Canvas, bar_y: float, row_y: float) -> None:
    """Draws the line from a part of the bar to its row."""
    bar, row = _BAR[1], _ROW_LEFT
    canvas.line((bar, bar_y), (bar + 16, bar_y), (row - 16, row_y), (row, row_y))


def _draw_row(canvas: _Canvas, partition: Partition, top: int, size: int) -> None:
    strong, light = _colors(partition)
    canvas.fill(_ROW_LEFT, top, _WIDTH - _MARGIN, top + _ROW_HEIGHT, light)
    canvas.fill(_ROW_LEFT, top, _ROW_LEFT + _STRIP, top + _ROW_HEIGHT, strong)
    left = _ROW_LEFT + _STRIP + 14
    canvas.text(partition.name, (left, top + 21), 18, _INK)
    shown = size_text(size) if partition.size is not None else f"the rest: {size_text(size)}"
    canvas.text(shown, (_WIDTH - _MARGIN - 14, top + 21), 16, _INK, "r")
    canvas.text(partition.comment, (left, top + 40), 14, _FAINT)


def _colors(partition: Partition) -> tuple[Color, Color]:
    partition_set, separator, _ = partition.name.partition("_")
    return _COLORS.get(partition_set if separator else "", _COLORS[""])


def size_text(size: int) -> str:
    """Returns a size with a unit and at most one decimal."""
    unit, name = next((u, n) for u, n in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB"), (1, "B")) if size >= u or u == 1)
    whole, tenth = divmod(size * 10 // unit, 10)
    return f"{whole}.{tenth} {name}" if tenth else f"{whole} {name}"
