"""Computes which blocks of an image have data, removes holes, and turns blocks of zeros into holes.

The results depend only on an image and a block size, not on which holes the build machine's file system keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tools.image.extents import Extent, FileRange, Image

BLOCK_SIZE = 4096
"""Default block size in bytes: that of the file systems and of the page cache."""

_CHUNK = 1 << 20


class Range(NamedTuple):
    """A half-open range [begin, end) of bytes of an image."""

    begin: int
    end: int


def data_ranges(image: Image, block_size: int = BLOCK_SIZE) -> list[Range]:
    """Returns the ranges of an image with data: rounded outwards to whole blocks, merged, in ascending order.

    If the size of the image isn't a multiple of the block size, the last range may end with the image.
    """
    return rounded(((extent.offset, extent.end) for extent in image.extents), image.size, block_size)


def rounded(spans: Iterable[tuple[int, int]], size: int, block_size: int) -> list[Range]:
    """Returns ascending spans (begin, end) of an image of `size` bytes as `data_ranges` does those of extents."""
    ranges: list[Range] = []
    begin = end = 0
    for first, last in spans:
        start = first - first % block_size
        if start > end:
            if end > begin:
                ranges.append(Range(begin, end))
            begin = start
        end = max(end, -(-last // block_size) * block_size)
    if end > begin:
        ranges.append(Range(begin, min(end, size)))
    return ranges


def packed(image: Image, ranges: Iterable[Range]) -> Image:
    """Returns an image that is the concatenation of `ranges` of an image; see `packed_extents`."""
    own = list(ranges)
    return Image(sum(end - begin for begin, end in own), packed_extents(image, own))


def packed_extents(image: Image, ranges: Iterable[Range], position: int = 0) -> Iterator[Extent]:
    """Yields the extents of an image, moved so that `ranges` of it follow one another.

    Args:
        image: the image.
        ranges: in ascending order, such that each extent is within one of them, as from `data_ranges`.
        position: where the first range begins in the result.

    Raises:
        ValueError: an extent is not within one of the ranges.
    """
    return joined(_moved(image, ranges, position))


def _moved(image: Image, ranges: Iterable[Range], position: int) -> Iterator[Extent]:
    extents = iter(image.extents)
    extent = next(extents, None)
    for begin, end in ranges:
        while extent is not None and extent.offset < end:
            if extent.offset < begin or extent.end > end:
                raise ValueError(f"extent from {extent.offset} to {extent.end} does not lie inside a range of the map")
            yield extent.moved(position - begin)
            extent = next(extents, None)
        position += end - begin
    if extent is not None:
        raise ValueError(f"extent from {extent.offset} to {extent.end} lies after the last range of the map")


def joined(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Merges adjacent extents whose data is adjacent in the same file; `extents` are in ascending order."""
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
    """Returns the image with a hole for each block of zeros; reads all data.

    The holes of the result depend only on the content. So the images of a sparse and a non-sparse copy of a file have
    the same holes.
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
    """Returns the merged ranges of blocks (the last may be shorter) that are not all zeros."""
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
