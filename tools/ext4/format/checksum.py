"""The two checksums of ext4: CRC-16 of group descriptors, and CRC-32C of everything else.

Both are kept raw, as the format does: no inversion of the result, and the seed handed on from one part to the next.
"""

from __future__ import annotations

import functools
import struct
from array import array

import google_crc32c

_ALL_ONES = 0xFFFFFFFF
_CRC16_POLYNOMIAL = 0xA001


def crc32c(seed: int, data: bytes) -> int:
    """Returns CRC-32C over `data`, continued from `seed` (0xFFFFFFFF to start)."""
    return int(google_crc32c.extend(seed ^ _ALL_ONES, data)) ^ _ALL_ONES


def file_system_seed(uuid: bytes) -> int:
    """Returns what every metadata checksum of a file system starts from, unless its superblock gives another."""
    return crc32c(_ALL_ONES, uuid)


def crc32c_of_int(seed: int, number: int, size: int = 4) -> int:
    """Returns CRC-32C over a little-endian number of `size` bytes, continued from `seed`."""
    return crc32c(seed, number.to_bytes(size, "little"))


@functools.cache
def _crc16_of_words() -> array[int]:
    """Returns the CRC of every 16-bit word: two bytes a step matter in file systems of 100,000 groups."""
    table = [0]
    for bit in range(16):
        crc = 1 << bit
        for _ in range(16):
            crc = (crc >> 1) ^ (_CRC16_POLYNOMIAL if crc & 1 else 0)
        table += [crc ^ other for other in table]
    return array("H", table)


def crc16(seed: int, data: bytes) -> int:
    """Returns CRC-16 (polynomial 0x8005, reflected) over an even number of bytes, continued from `seed`."""
    table = _crc16_of_words()
    crc = seed
    for word in struct.unpack(f"<{len(data) // 2}H", data):
        crc = table[crc ^ word]
    return crc
