"""Where the fixed parts of a file system are: superblocks, group descriptors, bitmaps and inode tables.

Block groups are put together in flex groups (feature flex_bg): the bitmaps and inode tables of all groups of a flex
group are in its first blocks, so that what is left is as much in one piece as it can be. Copies of the superblock and
the group descriptors are in groups 0, 1 and the powers of 3, 5 and 7 (feature sparse_super).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tools.core.errors import UserError
from tools.ext4.allocate import Allocator, Run, block_numbers
from tools.ext4.format.constants import SUPERBLOCK_OFFSET
from tools.ext4.options import Ext4Options

_LEAST_SPARE_BLOCKS = 50
"""A last group with less room than this beside its own metadata isn't worth having; mke2fs thinks so too."""

_MOST_INODES = 2**32 - 1


class NoRoomError(Exception):
    """The file system is too small for its own metadata."""


@dataclass(frozen=True)
class Geometry:
    """The numbers that all places follow from; blocks and inodes are counted, `inode_size` is in bytes."""

    block_size: int
    blocks: int
    inodes_per_group: int
    inode_size: int
    descriptor_size: int
    groups_per_flex: int

    @cached_property
    def blocks_per_group(self) -> int:
        """As many as one block of bitmap has bits."""
        return self.block_size * 8

    @cached_property
    def first_block(self) -> int:
        """The block of the first superblock; block 0 comes before all groups when blocks are of 1 KiB."""
        return SUPERBLOCK_OFFSET // self.block_size

    @cached_property
    def groups(self) -> int:
        """The number of block groups."""
        return -(-(self.blocks - self.first_block) // self.blocks_per_group)

    @cached_property
    def inodes(self) -> int:
        """The number of inodes, reserved ones included."""
        return self.groups * self.inodes_per_group

    @cached_property
    def table_blocks(self) -> int:
        """The blocks of one group's inode table."""
        return self.inodes_per_group * self.inode_size // self.block_size

    @cached_property
    def descriptor_blocks(self) -> int:
        """The blocks of one copy of the group descriptors."""
        return -(-self.groups * self.descriptor_size // self.block_size)

    @cached_property
    def backup_groups(self) -> frozenset[int]:
        """The groups that have a copy of the superblock and of the group descriptors; group 0 is one."""
        found = {0, 1}
        for base in (3, 5, 7):
            power = base
            while power < self.groups:
                found.add(power)
                power *= base
        return frozenset(group for group in found if group < self.groups)

    @cached_property
    def metadata_blocks(self) -> int:
        """All blocks that no file can have: superblocks, descriptors, bitmaps, inode tables, and block 0 if unused."""
        copies = len(self.backup_groups) * (1 + self.descriptor_blocks)
        return self.first_block + copies + self.groups * (2 + self.table_blocks)

    @cached_property
    def flex_groups(self) -> int:
        """The number of flex groups."""
        return -(-self.groups // self.groups_per_flex)

    def group_start(self, group: int) -> int:
        """Returns the number of a group's first block."""
        return self.first_block + group * self.blocks_per_group

    def group_blocks(self, group: int) -> int:
        """Returns the number of blocks of a group; the last one may have fewer than the others."""
        return min(self.blocks_per_group, self.blocks - self.group_start(group))

    def flex(self, index: int) -> Flex:
        """Returns the layout of a flex group.

        Raises:
            NoRoomError: its metadata doesn't fit in it.
        """
        first = index * self.groups_per_flex
        groups = range(first, min(first + self.groups_per_flex, self.groups))
        copy = 1 + self.descriptor_blocks
        copies = tuple(copy if group in self.backup_groups else 0 for group in groups)
        layout = _flex_layout(self.blocks_per_group, self.group_blocks(groups[-1]), copies, self.table_blocks)
        return Flex(first, self.group_start(first), layout)

    def free_runs(self) -> Iterator[Run]:
        """Yields the runs of blocks that files can have, in order; lazily, since there may be many."""
        for index in range(self.flex_groups):
            flex = self.flex(index)
            yield from ((flex.start + block, count) for block, count in flex.layout.free)


@dataclass(frozen=True, slots=True, eq=False)
class FlexLayout:
    """The layout of a flex group, one object for all that are alike; block numbers are relative to its first block.

    Attributes:
        block_bitmaps: the block of each group's block bitmap.
        inode_bitmaps: the block of each group's inode bitmap.
        inode_tables: the first block of each group's inode table.
        free: what is left, in order.
        used: for each group, its blocks with metadata as a number with these bits set.
        own: for each group, whether only metadata of that very group is in it.
    """

    block_bitmaps: tuple[int, ...]
    inode_bitmaps: tuple[int, ...]
    inode_tables: tuple[int, ...]
    free: tuple[Run, ...]
    used: tuple[int, ...]
    own: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Flex:
    """A flex group: its first group, the number of its first block, and its layout, which others may share."""

    first_group: int
    start: int
    layout: FlexLayout


@lru_cache(maxsize=64)
def _flex_layout(per_group: int, last_group: int, copies: tuple[int, ...], table_blocks: int) -> FlexLayout:
    """Lays out a flex group.

    Args:
        per_group: the blocks of every group but the last.
        last_group: the blocks of the last group.
        copies: for each group, the blocks of the superblock and descriptors that it starts with; 0 without a copy.
        table_blocks: the blocks of an inode table.
    """
    count = len(copies)
    end = (count - 1) * per_group + last_group
    runs = _merged((group * per_group + copy, min((group + 1) * per_group, end)) for group, copy in enumerate(copies))
    allocator = Allocator(runs, end)
    block_bitmaps = block_numbers(allocator.take(count))
    inode_bitmaps = block_numbers(allocator.take(count))
    tables = [allocator.take_whole(table_blocks) for _ in range(count)]
    if allocator.missing:
        raise NoRoomError
    free = allocator.rest()
    used = _bits_not_in(free, per_group, count)
    if last_group < per_group:
        used[-1] &= (1 << last_group) - 1
    own = [True] * count
    for home in range(count):
        for start, length in ((block_bitmaps[home], 1), (inode_bitmaps[home], 1), (tables[home], table_blocks)):
            for group in range(start // per_group, (start + length - 1) // per_group + 1):
                own[group] &= group == home
    return FlexLayout(tuple(block_bitmaps), tuple(inode_bitmaps), tuple(tables), tuple(free), tuple(used), tuple(own))


def _merged(spans: Iterator[tuple[int, int]]) -> list[Run]:
    """Turns (begin, end) spans into runs; those that touch become one."""
    runs: list[Run] = []
    for begin, end in spans:
        if begin >= end:
            raise NoRoomError
        start = runs.pop()[0] if runs and sum(runs[-1]) == begin else begin
        runs.append((start, end - start))
    return runs


def _bits_not_in(free: list[Run], per_group: int, groups: int) -> list[int]:
    """Returns for each group a number whose set bits are the group's blocks outside of the runs in `free`."""
    full = (1 << per_group) - 1
    used = [full] * groups
    for start, length in free:
        for group in range(start // per_group, (start + length - 1) // per_group + 1):
            begin = max(start - group * per_group, 0)
            end = min(start + length - group * per_group, per_group)
            used[group] &= ~(((1 << (end - begin)) - 1) << begin)
    return used


def choose_geometry(options: Ext4Options, blocks: int, inodes: int) -> Geometry:
    """Returns the geometry of a file system.

    Args:
        options: the file system's parameters; their size isn't looked at.
        blocks: how many blocks the file system may have; the last few stay unused when they make no good group.
        inodes: how many inodes the tree needs, reserved ones included.

    Raises:
        NoRoomError: so many blocks have no room for the metadata of the file system itself.
        UserError: there are too many blocks, or inodes, for the format.
    """
    block_size = options.block_size
    first = SUPERBLOCK_OFFSET // block_size
    per_group = block_size * 8
    while True:
        groups = -(-(blocks - first) // per_group)
        if groups < 1:
            raise NoRoomError
        wanted = options.inode_count or max(blocks * block_size // options.inode_ratio, inodes)
        inodes_per_group = _inodes_per_group(options, wanted, groups)
        is_wide = options.wide if options.wide is not None else blocks >= 2**32
        geometry = Geometry(
            block_size=block_size,
            blocks=blocks,
            inodes_per_group=inodes_per_group,
            inode_size=options.inode_size,
            descriptor_size=64 if is_wide else 32,
            groups_per_flex=options.groups_per_flex,
        )
        if geometry.descriptor_blocks + 1 >= per_group:
            raise UserError(
                f"ext4: {blocks * block_size} bytes are too many for blocks of {block_size}; use larger ones"
            )
        last = groups - 1
        copy = 1 + geometry.descriptor_blocks if last in geometry.backup_groups else 0
        least = copy + 2 + geometry.table_blocks + (_LEAST_SPARE_BLOCKS if last else 0)
        if geometry.group_blocks(last) >= least:
            return geometry
        if not last:
            raise NoRoomError
        blocks = geometry.group_start(last)


def _inodes_per_group(options: Ext4Options, wanted: int, groups: int) -> int:
    """Spreads inodes evenly over the groups, in whole blocks of inode table and whole bytes of bitmap."""
    unit = max(options.block_size // options.inode_size, 8)
    inodes_per_group = -(-wanted // (groups * unit)) * unit
    if inodes_per_group * groups > _MOST_INODES:
        raise UserError(f"ext4: {wanted} inodes are more than {_MOST_INODES}; use a larger inode ratio, or a count")
    if inodes_per_group > options.block_size * 8:
        raise NoRoomError
    return inodes_per_group
