"""Hole maps: which blocks of an image hold data, and images without their holes.

A map follows from an image's content and block size alone. What the builder's file system keeps as a hole never shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tools.image.extents import Extent, FileRange, Image

BLOCK_SIZE = 4096
"""The block of a map where nothing else is said: that of the file systems and of the page cache."""

_CHUNK = 1 << 20


class Range(NamedTuple):
    """The bytes of an image in [begin, end)."""

    begin: int
    end: int


def data_ranges(image: Image, block_size: int = BLOCK_SIZE) -> list[Range]:
    """Returns the ranges of an image that hold data, in order, rounded out to whole blocks and merged.

    The end of the last range is that of the image where the image doesn't end with a whole block.
    """
    ranges: list[Range] = []
    begin = end = 0
    for extent in image.extents:
        start = extent.offset - extent.offset % block_size
        if start > end:
            if end > begin:
                ranges.append(Range(begin, end))
            begin = start
        end = max(end, -(-extent.end // block_size) * block_size)
    if end > begin:
        ranges.append(Range(begin, min(end, image.size)))
    return ranges


def packed(image: Image, ranges: Iterable[Range]) -> Image:
    """Returns the bytes of `ranges`, one after another, as an image without the holes between them.

    Args:
        image: where the bytes come from.
        ranges: in order, and such that every extent lies in one of them, as those of `data_ranges` do.
    """
    moved: list[Extent] = []
    extents = iter(image.extents)
    extent = next(extents, None)
    position = 0
    for begin, end in ranges:
        while extent is not None and extent.offset < end:
            if extent.offset < begin or extent.end > end:
                raise ValueError(f"extent from {extent.offset} to {extent.end} does not lie inside a range of the map")
            moved.append(extent.moved(position - begin))
            extent = next(extents, None)
        position += end - begin
    if extent is not None:
        raise ValueError(f"extent from {extent.offset} to {extent.end} lies after the last range of the map")
    return Image(position, joined(moved))


def joined(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Yields ordered extents with those made one that follow each other in the image and in the same file."""
    last: Extent | None = None
    for extent in extents:
        if last is not None and _continues(last, extent):
            last = Extent(last.offset, last.length + extent.length, last.source)
        else:
            if last is not None:
                yield last
            last = extent
    if last is not None:
        yield last


def _continues(first: Extent, second: Extent) -> bool:
    one, other = first.source, second.source
    return (
        first.end == second.offset
        and isinstance(one, FileRange)
        and isinstance(other, FileRange)
        and one.file is other.file
        and one.start + first.length == other.start
    )


def trimmed(image: Image, block_size: int = BLOCK_SIZE) -> Image:
    """Returns the same image with every block that holds nothing but zeros made a hole; reads all of the data.

    The result's map depends on what the image reads as and on nothing else, so that images which come from raw files
    get the same map whether or not the files are sparse.
    """
    chunk = max(_CHUNK // block_size, 1) * block_size
    kept: list[Extent] = []
    for begin, end in data_ranges(image, block_size):
        for offset in range(begin, end, chunk):
            data = image.read(offset, min(chunk, end - offset))
            for first, last in nonzero_ranges(data, block_size):
                kept.extend(image.overlapping(offset + first, offset + last))
    return Image(image.size, joined(kept))


def nonzero_ranges(data: bytes, block_size: int) -> Sequence[Range]:
    """Returns the ranges of whole blocks (the last may be short) that hold anything but zeros, merged."""
    zeros = bytes(block_size)
    ranges: list[Range] = []
    begin = None
    for offset in range(0, len(data), block_size):
        if data.startswith(zeros, offset) or (len(data) - offset < block_size and not any(data[offset:])):
            if begin is not None:
                ranges.append(Range(begin, offset))
            begin = None
        elif begin is None:
            begin = offset
    if begin is not None:
        ranges.append(Range(begin, len(data)))
    return ranges
