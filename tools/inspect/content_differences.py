"""How the contents of two files differ: by a unified diff where they are small texts, else by hash and first byte."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from tools.image.compare import first_difference
from tools.image.digest import sha256
from tools.image.extents import Image
from tools.inspect.difference import CONTENT, Difference

_LARGEST_HASHED = 1 << 30
_LARGEST_TEXT = 64 << 10
_MOST_LINES = 2000
_MOST_SHOWN = 40


def content_differences(left: Image, right: Image, where: tuple[str, ...]) -> Iterator[Difference]:
    """Yields how two contents differ: their hashes where they are no texts, and the first byte; nothing if they don't.

    Args:
        left: the content on the left.
        right: the content on the right.
        where: where they are.
    """
    offset = first_difference(left, right)
    if offset is None:
        return
    text = text_difference(left, right)
    if not text and max(left.size, right.size) <= _LARGEST_HASHED:
        yield Difference(where, "sha256", sha256(left).hex(), sha256(right).hex())
    yield byte_difference(left, right, offset, where, text=text)


def byte_difference(
    left: Image,
    right: Image,
    offset: int,
    where: tuple[str, ...],
    *,
    note: str = "",
    text: tuple[str, ...] = (),
) -> Difference:
    """Returns the difference of two images at an offset, which one of them may end before."""
    values = [f"0x{image.read(offset, 1).hex()}" if offset < image.size else None for image in (left, right)]
    return Difference(where, CONTENT, *values, offset=offset, note=note, text=text)


def text_difference(left: Image, right: Image) -> tuple[str, ...]:
    """Returns the lines of a unified diff without its header; none if a content is no text or is large.

    Of a long one there is the beginning, and how many lines are left out.
    """
    sides = [_text_lines(image) for image in (left, right)]
    if sides[0] is None or sides[1] is None:
        return ()
    lines = []
    for line in list(difflib.unified_diff(sides[0], sides[1]))[2:]:
        lines += [line.removesuffix("\n")] + ["\\ No newline at end of file"] * (not line.endswith("\n"))
    if len(lines) > _MOST_SHOWN:
        lines[_MOST_SHOWN:] = [f"({len(lines) - _MOST_SHOWN} more lines)"]
    return tuple(lines)


def _text_lines(image: Image) -> list[str] | None:
    """Returns the lines of a small text with their line feeds; None if it is no text or is large."""
    if image.size > _LARGEST_TEXT:
        return None
    try:
        text = image.read(0, image.size).decode()
    except UnicodeDecodeError:
        return None
    if not all(char.isprintable() or char in "\t\n\r" for char in text):
        return None
    lines = text.split("\n")
    whole = [f"{line}\n" for line in lines[:-1]] + [lines[-1]] * (lines[-1] != "")
    return whole if len(whole) <= _MOST_LINES else None
