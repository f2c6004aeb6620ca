"""Hashes the blocks of an image, in time proportional to its data.

The equal blocks of a hole or a `Pattern` are hashed once, and their digests are a `Pattern` again. So each level of a
hash tree over a hole is one extent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tools.image.extents import Buffer, Data, Extent, Image, Pattern
from tools.image.rawfile import Progress, no_progress

DIGEST_SIZE = 32
"""Size of a SHA-256 digest in bytes."""

_READ_SIZE = 1 << 20
_MIN_PATTERN = 256
"""Minimum number of equal digests for a `Pattern`; for fewer, an extent needs more memory than the digests."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive blocks of an image.

    Attributes:
        first: number of the first block.
        count: number of blocks.
        block: the content of each block if all are equal; None if they may differ.
    """

    first: int
    count: int
    block: bytes | None


def block_digests(image: Image, block_size: int, salt: bytes, progress: Progress = no_progress) -> Image:
    """Returns the concatenated digests of an image's blocks: SHA-256 of the salt and the block.

    The digests of blocks with data are held in memory, 32 bytes for each block.

    Args:
        image: the image; its size is a multiple of `block_size`.
        block_size: in bytes.
        salt: salt, hashed before each block.
        progress: called with the number of bytes read since the last call.
    """
    salted = hashlib.sha256(salt)
    extents: list[Extent] = []
    written = bytearray()
    end = 0  # of the digests in `extents`

    def flush() -> None:
        nonlocal end
        extents.append(Extent(end, len(written), Data(bytes(written))))
        end += len(written)
        written.clear()

    for run in _runs(image, block_size):
        if run.block is None:
            for data in _reads(image, run.first * block_size, run.count * block_size):
                written += _hash_blocks(data, block_size, salted)
                progress(len(data))
                if len(written) >= _READ_SIZE:
                    flush()
            continue
        digest = _hash_blocks(run.block, block_size, salted)
        if run.count < _MIN_PATTERN:
            written += digest * run.count
            continue
        flush()
        extents.append(Extent(end, run.count * DIGEST_SIZE, Pattern(digest)))
        end += run.count * DIGEST_SIZE
    flush()
    return Image(image.size // block_size * DIGEST_SIZE, extents)


def _hash_blocks(data: Buffer, block_size: int, salted: hashlib._Hash) -> bytes:
    # In one thread: hashing a block takes less time than switching threads (the global interpreter lock).
    view = memoryview(data)
    copy = salted.copy
    digests = []
    for begin in range(0, len(view), block_size):
        state = copy()
        state.update(view[begin : begin + block_size])
        digests.append(state.digest())
    return b"".join(digests)


def _reads(image: Image, offset: int, length: int) -> Iterator[Buffer]:
    """Yields a range of an image in pieces of 1 MiB; without copying a piece that is in one extent."""
    for begin in range(offset, offset + length, _READ_SIZE):
        size = min(_READ_SIZE, offset + length - begin)
        extent = next(image.overlapping(begin, begin + size), None)
        if extent is not None and extent.length == size:
            yield extent.source.read(0, size)
        else:
            yield image.read(begin, size)


def _runs(image: Image, block_size: int) -> Iterator[_Run]:
    """Yields runs that cover all blocks of an image, in order; adjacent blocks that may differ are one run."""
    zeros = bytes(block_size)
    pending = 0  # blocks before `done` that must be read
    done = 0
    for begin, count, block in _extent_runs(image, block_size):
        first, end = max(begin, done), begin + count  # two extents may share a block
        if first > done or block is not None:
            if pending:
                yield _Run(done - pending, pending, None)
            pending = 0
            if first > done:
                yield _Run(done, first - done, zeros)
        if block is not None:
            yield _Run(first, end - first, block)
        else:
            pending += max(end - first, 0)
        done = max(done, end)
    if pending:
        yield _Run(done - pending, pending, None)
    blocks = image.size // block_size
    if blocks > done:
        yield _Run(done, blocks - done, zeros)


def _extent_runs(image: Image, block_size: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Yields the blocks that each extent overlaps, as (first, count, block), see `_Run`."""
    for extent in image.extents:
        first, end = extent.offset // block_size, -(-extent.end // block_size)
        inner_first, inner_end = -(-extent.offset // block_size), extent.end // block_size
        source = extent.source
        if isinstance(source, Pattern) and block_size % len(source.block) == 0 and inner_end - inner_first > 1:
            if first < inner_first:
                yield first, inner_first - first, None
            block = bytes(source.read(inner_first * block_size - extent.offset, block_size))
            yield inner_first, inner_end - inner_first, block
            if inner_end < end:
                yield inner_end, end - inner_end, None
        else:
            yield first, end - first, None
