"""The parameters of a file system."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.errors import UserError
from tools.squashfs.compression import COMPRESSIONS
from tools.squashfs.format import BLOCK_SIZES

SIZE_UNIT = 4096
"""An image's size is a multiple of this: what follows the file system in its last 4 KiB are zeros."""

_MAX_SIZE = 2**63 - SIZE_UNIT


@dataclass(frozen=True, slots=True, kw_only=True)
class SquashfsOptions:
    """The parameters of a file system; options of mksquashfs(1) are in parentheses.

    Attributes:
        compression: `zstd`, `gzip` or `none` (-comp).
        level: level of the compression (-Xcompression-level): 1 to 22 for zstd, 15 by default; 1 to 12 for gzip, 9 by
            default.
        block_size: size of a block of data in bytes: a power of 2 from 4 KiB to 1 MiB (-b).
        size: size of the image in bytes, a multiple of 4096; by default as large as the tree needs. What the tree
            doesn't need is a hole at the end.
    """

    compression: str = "zstd"
    level: int | None = None
    block_size: int = 128 << 10
    size: int | None = None

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            UserError: one is out of its range.
        """
        if self.compression not in COMPRESSIONS:
            raise UserError(f"squashfs: compression {self.compression!r} is none of {', '.join(COMPRESSIONS)}")
        levels = COMPRESSIONS[self.compression].levels
        if self.level is not None and self.level not in levels:
            possible = f"from {levels[0]} to {levels[-1]}" if len(levels) > 1 else f"{levels[0]}"
            raise UserError(f"squashfs: level {self.level} cannot be; for {self.compression} it can be {possible}")
        if self.block_size not in BLOCK_SIZES:
            raise UserError(
                f"squashfs: block size {self.block_size} is no power of 2 from {BLOCK_SIZES[0]} to {BLOCK_SIZES[-1]}"
            )
        if self.size is not None and (not 0 < self.size <= _MAX_SIZE or self.size % SIZE_UNIT):
            raise UserError(f"squashfs: size {self.size} is not a positive multiple of {SIZE_UNIT} bytes")

    @property
    def used_level(self) -> int:
        """The level, the default one if none is given."""
        return COMPRESSIONS[self.compression].default_level if self.level is None else self.level
