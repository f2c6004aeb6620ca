"""The checksums of ext4: CRC-16 for group descriptors (gdt_csum), and CRC-32C for all metadata (metadata_csum).

Neither inverts its result, as in Linux Documentation/filesystems/ext4, "Checksums". A result is the seed for more data.
"""

from __future__ import annotations

import functools
import struct
from array import array

import google_crc32c

_ALL_ONES = 0xFFFFFFFF
_CRC16_POLYNOMIAL = 0xA001


def crc32c(seed: int, data: bytes) -> int:
    """Returns the CRC-32C of `data`, continued from `seed` (0xFFFFFFFF at the start)."""
    return int(google_crc32c.extend(seed ^ _ALL_ONES, data)) ^ _ALL_ONES


def file_system_seed(uuid: bytes) -> int:
    """Returns the seed of a file system's metadata checksums, unless its superblock has one (metadata_csum_seed)."""
    return crc32c(_ALL_ONES, uuid)


def crc32c_of_int(seed: int, number: int, size: int = 4) -> int:
    """Returns the CRC-32C of a little-endian number of `size` bytes, continued from `seed`."""
    return crc32c(seed, number.to_bytes(size, "little"))


@functools.cache
def _crc16_of_words() -> array[int]:
    """Returns a table with the CRC-16 of every 16-bit word; words, since there may be 100,000 descriptors."""
    table = [0]
    for bit in range(16):
        crc = 1 << bit
        for _ in range(16):
            crc = (crc >> 1) ^ (_CRC16_POLYNOMIAL if crc & 1 else 0)
        table += [crc ^ other for other in table]
    return array("H", table)


def crc16(seed: int, data: bytes) -> int:
    """Returns the CRC-16 (polynomial 0x8005, reflected) of an even number of bytes, continued from `seed`."""
    table = _crc16_of_words()
    crc = seed
    for word in struct.unpack(f"<{len(data) // 2}H", data):
        crc = table[crc ^ word]
    return crc
