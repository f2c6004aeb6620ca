"""Allocates free blocks in ascending order."""

from __future__ import annotations

from collections.abc import Iterable

Run = tuple[int, int]
"""Consecutive blocks, as (number of the first block, count)."""


class Allocator:
    """Allocates blocks from a list of free runs, in ascending order.

    When the runs are used up, it continues past the end of the file system. So one attempt to place everything shows
    by how many blocks the file system is too small.
    """

    __slots__ = ("_left", "_runs", "end", "position", "skipped", "taken")

    def __init__(self, runs: Iterable[Run], end: int) -> None:
        """Starts at the first block of `runs`.

        Args:
            runs: the free blocks, as disjoint runs in ascending order.
            end: number of blocks of the file system; blocks from this number on don't exist.
        """
        self._runs = iter(runs)
        self._left = 0
        self.position = 0
        """All free blocks below this number are allocated or skipped."""
        self.end = end
        self.taken = 0
        """Number of blocks allocated so far."""
        self.skipped: list[Run] = []
        """The free runs that `take_whole` skipped because they are too short."""

    @property
    def shortfall(self) -> int:
        """Number of allocated blocks that are past the end of the file system."""
        return max(self.position - self.end, 0)

    def take(self, count: int) -> list[Run]:
        """Allocates `count` (at least 1) blocks and returns them as runs, in ascending order."""
        self.taken += count
        if count <= self._left:
            start = self.position
            self.position += count
            self._left -= count
            return [(start, count)]
        runs = []
        while count:
            if not self._left:
                self._next_run()
            start, part = self.position, min(count, self._left)
            self.position += part
            self._left -= part
            count -= part
            runs.append((start, part))
        return runs

    def take_whole(self, count: int) -> int:
        """Allocates `count` consecutive blocks and returns the first; skips free runs that are too short."""
        while self._left < count:
            if self._left:
                self.skipped.append((self.position, self._left))
            self._next_run()
        start = self.position
        self.taken += count
        self.position += count
        self._left -= count
        return start

    def rest(self) -> list[Run]:
        """Returns the runs that are still free, in ascending order: skipped ones, then those not reached."""
        left = [(self.position, self._left)] if self._left else []
        return [*self.skipped, *left, *self._runs]

    def _next_run(self) -> None:
        self.position, self._left = next(self._runs, (max(self.end, self.position), 2**63))


def block_numbers(runs: Iterable[Run]) -> list[int]:
    """Returns the numbers of all blocks in `runs`."""
    return [block for start, count in runs for block in range(start, start + count)]
