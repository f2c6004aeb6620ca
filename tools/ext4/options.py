"""The parameters of a file system."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from tools.core.errors import UserError
from tools.ext4.format.constants import BLOCK_SIZES
from tools.ext4.format.inode import time_limit

_MAX_LABEL = 16
_MIN_INODE_SIZE = 128
_MAX_RESERVED_PERCENT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ext4Options:
    """The parameters of a file system; options of mke2fs(8) are in parentheses.

    The features are those that GRUB 2.12 and Linux 4.x read. extents, flex_bg, dir_index, huge_file, dir_nlink,
    extra_isize and sparse_super are always on; group descriptors always have checksums, so that unused groups need no
    bitmaps. has_journal, metadata_csum and 64bit are optional.

    Attributes:
        size: size of the image in bytes; the file system uses as many whole blocks of it as it can.
        uuid: the file system's UUID (-U).
        hash_seed: the seed of the directory hash (-E hash_seed); by default derived from the UUID.
        label: the volume label, at most 16 bytes of UTF-8 (-L).
        block_size: 1024, 2048 or 4096 bytes (-b).
        inode_size: a power of two from 128 bytes to the block size (-I). Inodes of 128 bytes store times
            in whole seconds until 2038, and extended attributes only in blocks of their own.
        inode_ratio: bytes of the file system per inode (-i), at least the block size; there are more inodes if the tree
            needs more.
        inode_count: number of inodes (-N), in place of `inode_ratio`; rounded up to fill the inode tables' blocks. It
            is an error if the tree needs more. With more than a block group holds (32,768 for blocks of 4 KiB), groups
            are smaller and there are more of them.
        reserved_percent: percentage of the blocks reserved for the superuser, 0 to 50 (-m).
        journal: whether there is a journal.
        journal_size: size of the journal in bytes, at least 1024 blocks (-J size=); by default chosen by the file
            system's size, as by mke2fs.
        metadata_csum: whether all metadata has checksums, not only the group descriptors.
        wide: whether the file system has the feature 64bit; by default only if it has 2^32 blocks or more.
        groups_per_flex: number of block groups in a flex group, a power of two (-G).
        timestamp: creation time, in seconds since the epoch, for the superblock, the journal, and lost+found if the
            tree has none.
    """

    size: int
    uuid: UUID
    hash_seed: UUID | None = None
    label: str = ""
    block_size: int = 4096
    inode_size: int = 256
    inode_ratio: int = 16384
    inode_count: int | None = None
    reserved_percent: float = 5
    journal: bool = False
    journal_size: int | None = None
    metadata_csum: bool = False
    wide: bool | None = None
    groups_per_flex: int = 16
    timestamp: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges of the parameters.

        Raises:
            UserError: a parameter is out of its range.
        """
        _require(self.block_size in BLOCK_SIZES, f"block size {self.block_size} is not 1024, 2048 or 4096")
        _require(
            _is_power_of_two(self.inode_size) and _MIN_INODE_SIZE <= self.inode_size <= self.block_size,
            f"inode size {self.inode_size} is not a power of two from 128 to the block size {self.block_size}",
        )
        _require(
            self.inode_ratio >= self.block_size,
            f"inode ratio {self.inode_ratio} is less than the block size {self.block_size}; increase it",
        )
        _require(self.inode_count is None or self.inode_count > 0, f"inode count {self.inode_count} is not positive")
        _require(
            0 <= self.reserved_percent <= _MAX_RESERVED_PERCENT,
            f"reserved percentage {self.reserved_percent} is not between 0 and {_MAX_RESERVED_PERCENT}",
        )
        _require(
            len(self.label.encode()) <= _MAX_LABEL and "\0" not in self.label,
            f"label {self.label!r} is longer than {_MAX_LABEL} bytes, or has a NUL",
        )
        _require(
            _is_power_of_two(self.groups_per_flex) and self.groups_per_flex < 2**31,
            f"flex group size {self.groups_per_flex} is not a power of two",
        )
        _require(
            0 <= self.timestamp < time_limit(self.inode_size),
            f"timestamp {self.timestamp} is not between 0 and {time_limit(self.inode_size) - 1} seconds since 1970",
        )
        _require(self.size >= 0, f"size {self.size} is negative")
        _require(self.journal or self.journal_size is None, "a journal size is given, but no journal is requested")

    @property
    def seed(self) -> UUID:
        """The seed of the directory hash."""
        return self.hash_seed or uuid5(self.uuid, "ext4 directory hash seed")


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


def _require(condition: bool, fault: str) -> None:
    if not condition:
        raise UserError(f"ext4: {fault}")
