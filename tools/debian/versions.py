"""The order of Debian versions: deb-version(7), "Sorting algorithm"."""

from __future__ import annotations

import re
from itertools import zip_longest


def compare_versions(one: str, other: str) -> int:
    """Returns a negative number, zero or a positive number if the first version is older, as old or newer."""
    left, right = _split(one), _split(other)
    if left[0] != right[0]:
        return left[0] - right[0]
    return _compare(left[1], right[1]) or _compare(left[2], right[2])


def _split(version: str) -> tuple[int, str, str]:
    """Returns the epoch, the upstream version and the revision."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), upstream, revision


def _compare(one: str, other: str) -> int:
    """Compares two parts by their alternating runs of other characters and of digits."""
    runs = (re.findall(r"([^0-9]*)([0-9]*)", part) for part in (one, other))
    for left, right in zip_longest(*runs, fillvalue=("", "")):
        # A tilde sorts before the end of a part, the end before letters, and these before everything else.
        for a, b in zip_longest(*([_weight(char) for char in run[0]] for run in (left, right)), fillvalue=0):
            if a != b:
                return a - b
        if difference := int(left[1] or 0) - int(right[1] or 0):
            return difference
    return 0


def _weight(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256
