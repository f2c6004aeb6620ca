"""Compares Debian versions (deb-version(7), "Sorting algorithm")."""

from __future__ import annotations

import re
from itertools import zip_longest


def compare_versions(one: str, other: str) -> int:
    """Returns a negative number, 0 or a positive number if the first version is older, equal or newer.

    Raises:
        ValueError: an epoch is not a number.
    """
    left, right = _split(one), _split(other)
    if left[0] != right[0]:
        return -1 if left[0] < right[0] else 1
    return _compare(left[1], right[1]) or _compare(left[2], right[2])


def _value(digits: str) -> tuple[int, str]:
    """Returns a sort key for a number of any length; int() refuses one of more than 4300 digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _split(version: str) -> tuple[tuple[int, str], str, str]:
    """Returns the epoch, the upstream version and the revision."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    if re.fullmatch("[0-9]+", epoch) is None:
        raise ValueError(f"the epoch {epoch[:40]!r} is not a number")
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return _value(epoch), upstream, revision


def _compare(one: str, other: str) -> int:
    """Compares two parts by their alternating runs of non-digits and digits."""
    runs = (re.findall(r"([^0-9]*)([0-9]*)", part) for part in (one, other))
    for left, right in zip_longest(*runs, fillvalue=("", "")):
        # A tilde sorts before the end of a part, the end before letters, and these before all other characters.
        for a, b in zip_longest(*([_weight(char) for char in run[0]] for run in (left, right)), fillvalue=0):
            if a != b:
                return a - b
        numbers = _value(left[1]), _value(right[1])
        if numbers[0] != numbers[1]:
            return -1 if numbers[0] < numbers[1] else 1
    return 0


def _weight(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256
