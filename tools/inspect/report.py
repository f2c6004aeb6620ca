"""Differences of two images, archives or files as a report: lines for people, values for JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.inspect.difference import Difference


@dataclass(frozen=True, slots=True)
class Report:
    """The first differences, and whether there are more."""

    differences: tuple[Difference, ...]
    more: bool

    @classmethod
    def of(cls, found: Iterator[Difference], most: int) -> Report:
        """Returns a report of at most `most` differences; 0 is for all."""
        shown = tuple(itertools.islice(found, most or None))
        return cls(shown, next(found, None) is not None)

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        return not self.differences

    def lines(self) -> Iterator[str]:
        """Yields the lines that a person reads."""
        for difference in self.differences:
            yield from difference.lines()
        if self.more:
            yield "(there are more differences; --most=0 prints all)"

    def to_json(self) -> dict[str, Any]:
        """Returns the form for machines.

        The keys are `same` and `more`, which are true or false, and `differences`: a list of objects whose keys are the
        attributes of `tools.inspect.difference.Difference`.
        """
        return {"same": self.same, "more": self.more, "differences": [each.to_json() for each in self.differences]}
