"""The file allocation table (FAT): for each cluster, the next one of its chain.

See fatgen103, section "FAT Data Structure".
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from tools.fat.boot import MEDIA
from tools.fat.geometry import FIRST_CLUSTER, Bits
from tools.image.extents import Buffer, Source

END_OF_CHAIN: dict[Bits, int] = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}
MIN_END_OF_CHAIN: dict[Bits, int] = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}
"""The lowest value that marks the end of a chain."""

_TYPECODE = {16: "H", 32: "I"}


@dataclass(frozen=True, slots=True)
class PackedTable:
    """A `Source` with a FAT of contiguous chains without gaps between them, from the first cluster on.

    Entries are computed when they are read, from the ends of the chains.

    Attributes:
        bits: FAT type.
        ends: the last cluster of each chain, in ascending order.
        start: offset of the source in the table, in bytes.
    """

    bits: Bits
    ends: Sequence[int]
    start: int = 0

    @property
    def size(self) -> int:
        """The size of the table in bytes, up to the last cluster in use."""
        entries = self.ends[-1] + 1 if self.ends else FIRST_CLUSTER
        return -(-entries * self.bits // 8)

    def read(self, offset: int, length: int) -> Buffer:
        begin = self.start + offset
        if self.bits == 12:
            return _packed_12(self._entries(0, self.size * 8 // 12 + 1))[begin : begin + length]
        width = self.bits // 8
        first, end = begin // width, -(-(begin + length) // width)
        table = array(_TYPECODE[self.bits], self._entries(first, end))
        if sys.byteorder == "big":
            table.byteswap()
        return memoryview(table.tobytes())[begin - first * width :][:length]

    def advanced(self, offset: int) -> Source:
        return PackedTable(self.bits, self.ends, self.start + offset)

    def _entries(self, first: int, end: int) -> array[int]:
        last_value = END_OF_CHAIN[self.bits]
        entries = array("I", range(first + 1, end + 1))
        for index in range(bisect_left(self.ends, first), bisect_right(self.ends, end - 1)):
            entries[self.ends[index] - first] = last_value
        used = self.ends[-1] + 1 if self.ends else FIRST_CLUSTER
        for cluster in range(max(first, used), end):
            entries[cluster - first] = 0
        # Entries 0 and 1 are reserved: the media byte, and the flags for a clean volume.
        for cluster, value in ((0, last_value & ~0xFF | MEDIA), (1, last_value)):
            if first <= cluster < end:
                entries[cluster - first] = value
        return entries


def _packed_12(entries: Sequence[int]) -> bytes:
    """Packs entries of 12 bits, two of them into three bytes."""
    pairs = zip(entries[::2], [*entries[1::2], 0], strict=False)
    return b"".join((even | odd << 12).to_bytes(3, "little") for even, odd in pairs)
