"""Chooses how a file with holes is stored: flat, or in chunks of one size, where a chunk that is a hole has no blocks.

See "Chunk-based files" in Linux Documentation/filesystems/erofs.rst. Larger chunks need fewer addresses, but
more blocks.
"""

from __future__ import annotations

from tools.erofs.format import BLOCK_SIZE, MAX_CHUNK_BITS
from tools.image.extents import Image

_ADDRESS_SIZE = 4


def choose_chunks(content: Image) -> tuple[int, list[int]] | None:
    """Returns how to store a file in chunks so that it takes the least space; None if it takes less without.

    Returns:
        The binary logarithm of the blocks in a chunk, and the numbers of the chunks with data, in order.
    """
    if len(content.extents) == 1 and content.extents[0].length == content.size:
        return None
    total = -(-content.size // BLOCK_SIZE)
    runs = _runs(content)
    if sum(end - begin for begin, end in runs) == total:
        return None
    least, chosen = total * BLOCK_SIZE, -1
    for bits in range(MAX_CHUNK_BITS + 1):
        stored = sum(min(end << bits, total) - (begin << bits) for begin, end in _coarser(runs, bits))
        cost = -(-total >> bits) * _ADDRESS_SIZE + stored * BLOCK_SIZE
        if cost < least:
            least, chosen = cost, bits
        if total >> bits <= 1:
            break
    if chosen < 0:
        return None
    return chosen, [chunk for begin, end in _coarser(runs, chosen) for chunk in range(begin, end)]


def _runs(content: Image) -> list[tuple[int, int]]:
    """Returns the runs of blocks with data, as (begin, end)."""
    return _merged([(extent.offset // BLOCK_SIZE, -(-extent.end // BLOCK_SIZE)) for extent in content.extents])


def _coarser(runs: list[tuple[int, int]], bits: int) -> list[tuple[int, int]]:
    """Returns runs of blocks as runs of chunks of `2**bits` blocks."""
    return _merged([(begin >> bits, -(-end >> bits)) for begin, end in runs])


def _merged(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns ascending runs, of which those are joined that touch or overlap."""
    merged: list[tuple[int, int]] = []
    for begin, end in runs:
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
