"""Device numbers as Linux encodes them in 32 bits (new_encode_dev in include/linux/kdev_t.h)."""

from __future__ import annotations


def pack_device(major: int, minor: int) -> int:
    """Returns the encoded number of a device: the major number has 12 bits, the minor number 20."""
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def parse_device(word: int) -> tuple[int, int]:
    """Returns the major and minor number in an encoded device number."""
    return word >> 8 & 0xFFF, word & 0xFF | word >> 12 & 0xFFF00
