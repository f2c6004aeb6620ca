"""The list of the blocks of a file: the stored size of each, 4 bytes, or 0 for a hole (block_list in squashfs_fs.h)."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

WORD = struct.Struct("<I")
_WINDOW = 1 << 16
_NO_INDEXES, _NO_SIZES = array("Q"), array("I")
"""What lists without such blocks share: most files are smaller than a block."""


@dataclass(slots=True, eq=False)
class BlockList:
    """The blocks of a file, to which only `append` adds; in memory only those that are not holes.

    Attributes:
        count: number of blocks, holes among them.
        indexes: numbers of the blocks that are not holes, in ascending order.
        sizes: the stored size of each, with the flag `RAW_BLOCK`.
    """

    count: int = 0
    indexes: array[int] = field(default_factory=lambda: _NO_INDEXES)
    sizes: array[int] = field(default_factory=lambda: _NO_SIZES)

    def append(self, index: int, size: int) -> None:
        """Adds a block that is not a hole."""
        if not self.sizes:
            self.indexes, self.sizes = array("Q"), array("I")
        self.indexes.append(index)
        self.sizes.append(size)

    def pack(self) -> bytes:
        """Returns the list as it is stored."""
        packed = bytearray(self.count * WORD.size)
        for index, size in zip(self.indexes, self.sizes, strict=True):
            WORD.pack_into(packed, index * WORD.size, size)
        return bytes(packed)


def parse_blocks(count: int, take: Callable[[int], bytes]) -> BlockList:
    """Returns the list of so many blocks.

    Args:
        count: number of blocks, holes among them.
        take: returns the next bytes.
    """
    found = BlockList(count)
    for begin in range(0, count, _WINDOW):
        part = take(min(_WINDOW, count - begin) * WORD.size)
        if part.count(0) != len(part):
            for index, (size,) in enumerate(WORD.iter_unpack(part), begin):
                if size:
                    found.append(index, size)
    return found
