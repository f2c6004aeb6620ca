"""Compares the content of two images, independently of their extents and holes."""

from __future__ import annotations

from collections.abc import Iterator

from tools.image.extents import Buffer, Extent, Image
from tools.image.holes import BLOCK_SIZE

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


def first_difference(left: Image, right: Image) -> int | None:
    """Returns the offset of the first byte in which two images differ, or None if they are equal.

    If one image is a prefix of the other, they differ at its end. Ranges that are holes in both, or the same range of
    the same file, are not read.
    """
    for begin, end, first, second in _segments(left, right):
        if first is not None and second is not None and first.source == second.source:
            continue
        for offset in range(0, end - begin, _CHUNK):
            length = min(_CHUNK, end - begin - offset)
            one, other = _read(first, offset, length), _read(second, offset, length)
            if one != other:
                return begin + offset + _common_prefix(one, other)
    return None if left.size == right.size else min(left.size, right.size)


def differing_blocks(left: Image, right: Image, block_size: int = BLOCK_SIZE) -> set[int]:
    """Returns the numbers of the blocks in which two images of the same size differ.

    Ranges that are holes in both, or the same range of the same file, are not read.
    """
    found: set[int] = set()
    for begin, end, first, second in _segments(left, right):
        if first is not None and second is not None and first.source == second.source:
            continue
        for number in range(begin // block_size, -(-end // block_size)):
            start, stop = max(begin, number * block_size), min(end, (number + 1) * block_size)
            if _read(first, start - begin, stop - start) != _read(second, start - begin, stop - start):
                found.add(number)
    return found


def _segments(left: Image, right: Image) -> Iterator[tuple[int, int, Extent | None, Extent | None]]:
    """Yields (begin, end, left extent, right extent) for ranges without an extent boundary, in ascending order.

    An extent is None for a hole. Ranges end at the end of the shorter image; holes in both images are skipped.
    """
    size = min(left.size, right.size)
    ours, theirs = left.overlapping(0, size), right.overlapping(0, size)
    first, second = next(ours, None), next(theirs, None)
    end = 0
    while first is not None or second is not None:
        present = [extent for extent in (first, second) if extent is not None]
        begin = max(end, min(extent.offset for extent in present))
        end = min(bound for extent in present for bound in (extent.offset, extent.end) if bound > begin)
        yield begin, end, _part(first, begin, end), _part(second, begin, end)
        if first is not None and first.end <= end:
            first = next(ours, None)
        if second is not None and second.end <= end:
            second = next(theirs, None)


def _part(extent: Extent | None, begin: int, end: int) -> Extent | None:
    """Returns the part of an extent in [begin, end), or None if there is none."""
    return extent.clipped(begin, end) if extent is not None and extent.offset < end else None


def _read(extent: Extent | None, offset: int, length: int) -> bytes:
    data: Buffer = _ZEROS[:length] if extent is None else extent.source.read(offset, length)
    return data if isinstance(data, bytes) else bytes(data)  # comparing memoryviews is slow


def _common_prefix(one: bytes, other: bytes) -> int:
    """Returns the length of the common prefix of two different byte strings of the same length."""
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low
