r"""The format of a recipe: an image as ranges of files that are not in it, and of data that is.

All numbers are little-endian. Offsets and lengths are in bytes. In order, without gaps:

    header    8 bytes  b"\x89RECIPE\n"
              u32      1, the format
              u32      size of the blocks that data is rounded outwards to; a power of 2 from 512
              u64      size of the image
              u64      number of files that a reader has to be given
              u64      number of files that the image has ranges of
              u64      number of patterns
              u64      number of ranges
    file      u64      its number among those that a reader is given, from 0
              u64      its size
              32 bytes SHA-256 of its first MiB
    pattern   u64      offset of a block in the data, which repeats endlessly
              u64      length of the block, at most 1 MiB; the blocks ascend and don't overlap
    range     u64      offset in the image
              u64      length
              u64      source: 0 for the data, then the files, then the patterns, in the order of their tables
              u64      offset in the data or the file, or in the block of the pattern
    data               up to the end of the recipe

Ranges ascend and don't overlap. Between them the image has zeros: in a block with a range they are data, as in the map
of a sparse tar, and elsewhere they are a hole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = b"\x89RECIPE\n"
FORMAT = 1
HEADER = struct.Struct("<8sIIQQQQQ")
FILE = struct.Struct("<QQ32s")
PATTERN = struct.Struct("<QQ")
RANGE_FIELDS = 4
RANGE_SIZE = 8 * RANGE_FIELDS
START = 1 << 20
"""How many bytes of a file are compared with those that a recipe was made with."""

LARGEST_PATTERN = 1 << 20
LARGEST_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """What a recipe begins with; see the module's docstring."""

    block_size: int
    size: int
    given: int
    files: int
    patterns: int
    ranges: int

    @property
    def data_start(self) -> int:
        """The offset of the data in the recipe."""
        tables = self.files * FILE.size + self.patterns * PATTERN.size + self.ranges * RANGE_SIZE
        return HEADER.size + tables

    def encode(self) -> bytes:
        """Returns the header's bytes."""
        counts = (self.given, self.files, self.patterns, self.ranges)
        return HEADER.pack(MAGIC, FORMAT, self.block_size, self.size, *counts)
