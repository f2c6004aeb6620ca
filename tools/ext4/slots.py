"""Gives places in a range by hashes of names, so that one more name, or a larger claim, moves no other.

A place depends only on the name's hash, unless another claim has it already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """What needs a place.

    Attributes:
        key: the hash of its name, from `key_of`.
        count: number of consecutive units that it needs, at least 1.
        owner: index of what it is for, in a list of the caller.
    """

    key: int
    count: int
    owner: int

    @property
    def slot_size(self) -> int:
        """The number of units that are kept for it; within them it may grow without a collision."""
        return stepped(self.count)


def key_of(name: bytes) -> int:
    """Returns the hash of a name, a number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def stepped(count: int) -> int:
    """Rounds a number up to one of a few: to a multiple of an eighth of the power of two below it.

    What is computed from the result stays the same while the number grows a little.
    """
    step = max((1 << max(count - 1, 0).bit_length()) // (2 * _STEPS), 1)
    return -(-count // step) * step


def place(claims: Iterable[Claim], units: int) -> list[tuple[Claim, int]] | None:
    """Returns each claim with the first unit of its place, larger claims first; None if a claim found no place.

    Of two claims for the same units, the larger one has them, and the other one gets the next free ones after it.

    Args:
        claims: the claims, in any order.
        units: number of units of the range.
    """
    taken = bytearray(units)
    placed = []
    for claim in sorted(claims, key=lambda claim: (-claim.slot_size, claim.key, claim.count, claim.owner)):
        size = claim.slot_size
        free = bytes(size)
        start = taken.find(free, _index(claim.key, units))
        if start < 0:
            start = taken.find(free)
        if start < 0:
            return None
        taken[start : start + size] = b"\1" * size
        placed.append((claim, start))
    return placed


def _index(key: int, units: int) -> int:
    """Returns the first unit for a key, such that few keys get another one if there are a few more units.

    This is linear hashing.
    """
    power = 1 << max(units - 1, 0).bit_length()
    index = key % power
    return index if index < units else index - power // 2
