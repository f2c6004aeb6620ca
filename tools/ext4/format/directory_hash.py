"""The hash of names in indexed directories: half MD4, with names as unsigned bytes.

Sources: "Hash Tree Directories" in Linux Documentation/filesystems/ext4, and fs/ext4/hash.c. Half MD4 is a reduced MD4
(RFC 1320).

32-bit arithmetic is slow in Python, so up to 1024 names are hashed at a time: an integer is a vector of 64-bit lanes,
one lane per name, each with a 32-bit value in its low half. The high half takes the overflow of additions and shifts,
which is then masked off.
"""

from __future__ import annotations

import struct
import sys
import uuid
from array import array
from collections.abc import Callable, Iterable, Sequence

HALF_MD4 = 1
"""The number of the hash in the superblock (s_def_hash_version) and in the root of an index."""

UNSIGNED_FLAG = 0x2
"""The flag in the superblock (s_flags) for names that are hashed as unsigned bytes."""

_CHUNK = 32
_WORDS = _CHUNK // 4
_LANES = 1024
_WORD = 0xFFFFFFFF
_INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_ROUND_CONSTANTS = (0, 0x5A827999, 0x6ED9EBA1)
_SHIFTS = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15))
_ORDERS = ((0, 1, 2, 3, 4, 5, 6, 7), (1, 3, 5, 7, 0, 2, 4, 6), (3, 7, 2, 6, 1, 5, 0, 4))
_END_OF_DIRECTORY = 0x7FFFFFFF << 1


def hash_names(names: Sequence[bytes], seed: uuid.UUID) -> array[int]:
    """Returns for each name a number of 64 bits: its major hash, which is even, above its minor hash.

    Args:
        names: the names; none may be empty.
        seed: the file system's hash seed.
    """
    result = array("Q", bytes(8 * len(names)))
    by_length: dict[int, array[int]] = {}
    for index, name in enumerate(names):
        by_length.setdefault(-(-len(name) // _CHUNK), array("I")).append(index)
    for chunks, indexes in by_length.items():
        for begin in range(0, len(indexes), _LANES):
            part = indexes[begin : begin + _LANES]
            for index, (major, minor) in zip(part, _hash_lanes([names[i] for i in part], chunks, seed), strict=True):
                result[index] = major << 32 | minor
    return result


def _hash_lanes(names: list[bytes], chunks: int, seed: uuid.UUID) -> Iterable[tuple[int, int]]:
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * len(names), "little")
    initial = struct.unpack("<4I", seed.bytes) if any(seed.bytes) else _INITIAL
    state = [word * ones for word in initial]
    for chunk in range(chunks):
        joined = b"".join([_padded(name[chunk * _CHUNK :]) for name in names])
        words = array("I", joined)
        if sys.byteorder == "little":
            words.byteswap()
        state = _half_md4(state, [_to_lanes(words[index::_WORDS]) for index in range(_WORDS)], ones)
    return zip(map(_usable, _from_lanes(state[1], len(names))), _from_lanes(state[2], len(names)), strict=True)


def _padded(rest: bytes) -> bytes:
    """Returns the next 32 bytes to hash, from the remaining bytes of a name.

    They are big-endian words. Missing bytes have the value of the remaining length; in the last, incomplete word they
    come before the name's bytes (`str2hashbuf_unsigned` in fs/ext4/hash.c).
    """
    if len(rest) >= _CHUNK:
        return rest[:_CHUNK]
    whole = len(rest) & ~3
    fill = bytes((len(rest),))
    last = rest[whole:]
    if last:
        last = fill * (4 - len(last)) + last
    return (rest[:whole] + last).ljust(_CHUNK, fill)


def _to_lanes(words: array[int]) -> int:
    return int.from_bytes(array("Q", words).tobytes(), sys.byteorder)


def _from_lanes(lanes: int, count: int) -> array[int]:
    values = array("Q")
    values.frombytes(lanes.to_bytes(count * 8, sys.byteorder))
    return values


def _usable(value: int) -> int:
    """Clears the bit for collisions, and replaces the value that is reserved for the end of a directory."""
    value &= ~1
    return value - 2 if value == _END_OF_DIRECTORY else value


def _choose(x: int, y: int, z: int) -> int:
    return z ^ (x & (y ^ z))


def _majority(x: int, y: int, z: int) -> int:
    return (x & y) + ((x ^ y) & z)


def _parity(x: int, y: int, z: int) -> int:
    return x ^ y ^ z


_FUNCTIONS: tuple[Callable[[int, int, int], int], ...] = (_choose, _majority, _parity)


def _half_md4(state: list[int], words: list[int], ones: int) -> list[int]:
    mask = _WORD * ones
    a, b, c, d = state
    for function, constant, shifts, order in zip(_FUNCTIONS, _ROUND_CONSTANTS, _SHIFTS, _ORDERS, strict=True):
        added = constant * ones
        for step, index in enumerate(order):
            total = (a + function(b, c, d) + words[index] + added) & mask
            shift = shifts[step & 3]
            a, b, c, d = d, (total << shift | total >> (32 - shift)) & mask, b, c
    return [(old + new) & mask for old, new in zip(state, (a, b, c, d), strict=True)]
