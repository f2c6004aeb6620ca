"""A canvas of pixels that becomes a PNG.

Source of the format: Portable Network Graphics specification, third edition, chapters 5 and 11.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence

import deflate

from dev.drawing import lettering
from dev.drawing.lettering import Point

Color = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUE_COLOR = 2
_LEVEL = 9


class Canvas:
    """Pixels, white at first; coordinates are in pixels from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._pixels = bytearray(b"\xff" * (3 * width * height))

    def fill(self, left: int, top: int, right: int, bottom: int, color: Color) -> None:
        """Fills a rectangle; right and bottom are outside it."""
        for row in range(top, bottom):
            begin = 3 * (row * self.width + left)
            self._pixels[begin : begin + 3 * (right - left)] = bytes(color) * (right - left)

    def line(self, points: Sequence[Point], thickness: float, color: Color) -> None:
        """Draws lines from point to point, with round ends and smooth edges; one point alone is a dot."""
        for start, end in zip(points, points[1:] or points, strict=False):
            self._segment(start, end, thickness / 2, color)

    def text(self, text: str, left: float, baseline: float, unit: float, color: Color) -> None:
        """Draws a line of text; see `lettering.strokes`."""
        for stroke in lettering.strokes(text, left, baseline, unit):
            self.line(stroke, unit * 0.75, color)

    def png(self) -> bytes:
        """Returns the canvas as a PNG file. Its bytes depend on the pixels and on the pinned libdeflate only."""
        stride = 3 * self.width
        rows = (self._pixels[begin : begin + stride] for begin in range(0, len(self._pixels), stride))
        data = deflate.zlib_compress(b"".join(b"\0" + row for row in rows), _LEVEL)
        header = struct.pack(">2I5B", self.width, self.height, 8, _TRUE_COLOR, 0, 0, 0)
        return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", bytes(data)) + _chunk(b"IEND", b"")

    def _segment(self, start: Point, end: Point, radius: float, color: Color) -> None:
        """Draws a line of which each pixel is covered as far as its centre is inside."""
        (x0, y0), (x1, y1) = start, end
        across, down = x1 - x0, y1 - y0
        length = across * across + down * down
        reach = radius + 1
        for y in range(max(0, int(min(y0, y1) - reach)), min(self.height, int(max(y0, y1) + reach) + 1)):
            for x in range(max(0, int(min(x0, x1) - reach)), min(self.width, int(max(x0, x1) + reach) + 1)):
                dx, dy = x + 0.5 - x0, y + 0.5 - y0
                along = min(max((dx * across + dy * down) / length, 0), 1) if length else 0
                # sqrt is rounded the same everywhere, unlike hypot
                distance = math.sqrt((dx - along * across) ** 2 + (dy - along * down) ** 2)
                if distance < radius + 0.5:
                    self._blend(x, y, min(radius + 0.5 - distance, 1), color)

    def _blend(self, x: int, y: int, share: float, color: Color) -> None:
        at = 3 * (y * self.width + x)
        for channel in range(3):
            below = self._pixels[at + channel]
            self._pixels[at + channel] = round(below + (color[channel] - below) * share)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
