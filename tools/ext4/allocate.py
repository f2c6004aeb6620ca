"""Handing out free blocks in order."""

from __future__ import annotations

from collections.abc import Iterable

Run = tuple[int, int]
"""Consecutive blocks: the first one's number, and how many."""


class Allocator:
    """Hands out the blocks of free runs from the lowest number on, and never goes back.

    When the runs are used up it goes on past their end as if there were room without end. So one attempt tells how
    much is missing, not just that something is.
    """

    __slots__ = ("_left", "_runs", "end", "position", "skipped", "taken")

    def __init__(self, runs: Iterable[Run], end: int) -> None:
        """Starts at the first of `runs`, which are in order; blocks from `end` on don't exist."""
        self._runs = iter(runs)
        self._left = 0
        self.position = 0
        """All free blocks below this one have been handed out or skipped."""
        self.end = end
        self.taken = 0
        """How many blocks were handed out."""
        self.skipped: list[Run] = []
        """The free runs that `take_whole` left behind."""

    @property
    def missing(self) -> int:
        """How many blocks were handed out that don't exist."""
        return max(self.position - self.end, 0)

    def take(self, count: int) -> list[Run]:
        """Returns `count` (one or more) blocks as runs, which are as few as the free runs allow."""
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
        """Returns the first of `count` consecutive blocks; free blocks before them are skipped."""
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
        """Returns all that is left free, in order: what was skipped and what was not reached."""
        left = [(self.position, self._left)] if self._left else []
        return [*self.skipped, *left, *self._runs]

    def _next_run(self) -> None:
        self.position, self._left = next(self._runs, (max(self.end, self.position), 2**63))


def block_numbers(runs: Iterable[Run]) -> list[int]:
    """Returns the number of every block in `runs`."""
    return [block for start, count in runs for block in range(start, start + count)]
