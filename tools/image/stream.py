"""Reads images sequentially."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from tools.image.extents import Buffer, Image

_CHUNK = 1 << 20
_ZEROS = memoryview(bytes(_CHUNK))


def buffers(image: Image) -> Iterator[Buffer]:
    """Yields all bytes of an image in order, at most 1 MiB at a time; all holes share one buffer of zeros."""
    end = 0
    for offset, data in image.chunks(_CHUNK):
        yield from zeros(offset - end)
        yield data
        end = offset + len(data)
    yield from zeros(image.size - end)


def zeros(length: int) -> Iterator[Buffer]:
    """Yields `length` bytes of zeros, at most 1 MiB at a time, all from one buffer."""
    for done in range(0, length, _CHUNK):
        yield _ZEROS[: min(_CHUNK, length - done)]


class Piece(NamedTuple):
    """A piece of an image: its length in bytes, and its data, or None if all of it is a hole."""

    length: int
    data: memoryview | None


def pieces(image: Image, size: int, cuts: Sequence[int] = ()) -> Iterator[Piece]:
    """Yields the pieces of `size` bytes of an image, the last of which may be shorter; nothing for an empty image.

    Each piece has its own buffer, so that threads can process it while the next ones are read.

    Args:
        image: the image.
        size: of the pieces in bytes.
        cuts: ascending offsets within the image at each of which a piece ends before it is full.
    """
    bounds = [0, *cuts, image.size]
    for begin, length in (
        (start, min(size, end - start)) for first, end in pairwise(bounds) for start in range(first, end, size)
    ):
        if next(image.overlapping(begin, begin + length), None) is None:
            yield Piece(length, None)
        else:
            view = memoryview(bytearray(length))
            image.read_into(begin, view)
            yield Piece(length, view)
