"""The location of a file system's fixed metadata: superblocks, group descriptors, bitmaps and inode tables.

Block groups form flex groups (feature flex_bg): the bitmaps and inode tables of all groups of a flex group are in its
first blocks, so that the free blocks after them are contiguous. Groups 0, 1 and the powers of 3, 5 and 7 have copies of
the superblock and the group descriptors (feature sparse_super). See "Layout" and "Flexible Block Groups" in Linux
Documentation/filesystems/ext4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tools.core.errors import UserError
from tools.ext4.allocate import Allocator, Run, block_numbers
from tools.ext4.format.constants import SUPERBLOCK_OFFSET
from tools.ext4.options import Ext4Options

_MIN_SPARE_BLOCKS = 50
"""The last group is dropped if it has fewer blocks than this besides its own metadata, as by mke2fs."""

_MAX_INODES = 2**32 - 1
_MIN_GROUP = 256
"""The least number of blocks of a group, as for mke2fs."""
_GROUP_UNIT = 8
"""The number of blocks of a group is a multiple of this, so that its bits of a bitmap are whole bytes."""


class NoRoomError(Exception):
    """The file system is too small for its own metadata; the message says for what."""

    def __init__(self, what: str = "there is no room even for the file system's own metadata") -> None:
        super().__init__(what)


@dataclass(frozen=True)
class Geometry:
    """The parameters that determine where all metadata is; all sizes are in bytes."""

    block_size: int
    blocks: int
    blocks_per_group: int
    inodes_per_group: int
    inode_size: int
    descriptor_size: int
    groups_per_flex: int

    @cached_property
    def first_block(self) -> int:
        """The first block of group 0, with the superblock: 1 if blocks have 1 KiB, else 0."""
        return SUPERBLOCK_OFFSET // self.block_size

    @cached_property
    def groups(self) -> int:
        """The number of block groups."""
        return -(-(self.blocks - self.first_block) // self.blocks_per_group)

    @cached_property
    def inodes(self) -> int:
        """The number of inodes, including the reserved ones."""
        return self.groups * self.inodes_per_group

    @cached_property
    def table_blocks(self) -> int:
        """The number of blocks of one group's inode table."""
        return self.inodes_per_group * self.inode_size // self.block_size

    @cached_property
    def descriptor_blocks(self) -> int:
        """The number of blocks of one copy of the group descriptors."""
        return -(-self.groups * self.descriptor_size // self.block_size)

    @cached_property
    def backup_groups(self) -> frozenset[int]:
        """The groups with a copy of the superblock and the group descriptors, including group 0."""
        found = {0, 1}
        for base in (3, 5, 7):
            power = base
            while power < self.groups:
                found.add(power)
                power *= base
        return frozenset(group for group in found if group < self.groups)

    @cached_property
    def metadata_blocks(self) -> int:
        """The number of blocks in use by superblocks, descriptors, bitmaps and inode tables, or before group 0."""
        copies = len(self.backup_groups) * (1 + self.descriptor_blocks)
        return self.first_block + copies + self.groups * (2 + self.table_blocks)

    @cached_property
    def flex_groups(self) -> int:
        """The number of flex groups."""
        return -(-self.groups // self.groups_per_flex)

    def group_start(self, group: int) -> int:
        """Returns the number of the first block of a group."""
        return self.first_block + group * self.blocks_per_group

    def group_blocks(self, group: int) -> int:
        """Returns how many blocks a group has; the last one may have fewer than the others."""
        return min(self.blocks_per_group, self.blocks - self.group_start(group))

    def flex(self, index: int) -> Flex:
        """Returns the layout of a flex group.

        Raises:
            NoRoomError: its metadata doesn't fit.
        """
        first = index * self.groups_per_flex
        groups = range(first, min(first + self.groups_per_flex, self.groups))
        copy = 1 + self.descriptor_blocks
        copies = tuple(copy if group in self.backup_groups else 0 for group in groups)
        layout = _flex_layout(self.blocks_per_group, self.group_blocks(groups[-1]), copies, self.table_blocks)
        return Flex(first, self.group_start(first), layout)

    def free_runs(self) -> Iterator[Run]:
        """Yields the runs of blocks without fixed metadata, in ascending order."""
        for index in range(self.flex_groups):
            flex = self.flex(index)
            yield from ((flex.start + block, count) for block, count in flex.layout.free)


@dataclass(frozen=True, slots=True, eq=False)
class FlexLayout:
    """The layout of a flex group, shared by all flex groups of the same shape.

    Block numbers are relative to the flex group's first block.

    Attributes:
        block_bitmaps: for each group, the block of its block bitmap.
        inode_bitmaps: for each group, the block of its inode bitmap.
        inode_tables: for each group, the first block of its inode table.
        free: the runs of blocks without metadata, in ascending order.
        used: for each group, a bit mask of its blocks with metadata (bit 0 is its first block).
        own: for each group, whether no other group's metadata is in its blocks.
    """

    block_bitmaps: tuple[int, ...]
    inode_bitmaps: tuple[int, ...]
    inode_tables: tuple[int, ...]
    free: tuple[Run, ...]
    used: tuple[int, ...]
    own: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Flex:
    """A flex group: the number of its first group, the number of its first block, and its layout."""

    first_group: int
    start: int
    layout: FlexLayout


@lru_cache(maxsize=64)
def _flex_layout(per_group: int, last_group: int, copies: tuple[int, ...], table_blocks: int) -> FlexLayout:
    """Lays out a flex group.

    Args:
        per_group: number of blocks of every group but the last.
        last_group: number of blocks of the last group.
        copies: for each group, the number of blocks of its copy of superblock and descriptors; 0 without a copy.
        table_blocks: number of blocks of an inode table.
    """
    count = len(copies)
    end = (count - 1) * per_group + last_group
    runs = _merged((group * per_group + copy, min((group + 1) * per_group, end)) for group, copy in enumerate(copies))
    allocator = Allocator(runs, end)
    block_bitmaps = block_numbers(allocator.take(count))
    inode_bitmaps = block_numbers(allocator.take(count))
    tables = [allocator.take_whole(table_blocks) for _ in range(count)]
    if allocator.shortfall:
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
    """Turns (begin, end) spans into runs, and joins adjacent ones."""
    runs: list[Run] = []
    for begin, end in spans:
        if begin >= end:
            raise NoRoomError
        start = runs.pop()[0] if runs and sum(runs[-1]) == begin else begin
        runs.append((start, end - start))
    return runs


def _bits_not_in(free: list[Run], per_group: int, groups: int) -> list[int]:
    """Returns for each group a bit mask of its blocks that are not in `free`."""
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

    A group has a block for each bit of a bitmap block. Where that gives too few groups for the inodes, since a group
    has at most as many inodes as blocks, groups are smaller, as by mke2fs.

    Args:
        options: the file system's parameters; `size` is ignored.
        blocks: maximum number of blocks; the last ones stay unused if they are too few for a group.
        inodes: number of inodes that the tree needs, including the reserved ones.

    Raises:
        NoRoomError: the file system's own metadata doesn't fit.
        UserError: the format cannot have that many blocks or inodes.
    """
    per_group = options.block_size * 8
    while True:
        geometry = _with_groups_of(per_group, options, blocks, inodes)
        if geometry is not None:
            return geometry
        per_group = _smaller_groups(per_group, options, blocks, inodes)


def _with_groups_of(per_group: int, options: Ext4Options, blocks: int, inodes: int) -> Geometry | None:
    """Returns the geometry with groups of `per_group` blocks, or None if there are too few groups for the inodes."""
    block_size = options.block_size
    while True:
        groups = -(-(blocks - SUPERBLOCK_OFFSET // block_size) // per_group)
        if groups < 1:
            raise NoRoomError
        inodes_per_group = _inodes_per_group(options, _wanted(options, blocks, inodes), groups)
        if inodes_per_group > block_size * 8:
            return None
        is_wide = options.wide if options.wide is not None else blocks >= 2**32
        geometry = Geometry(
            block_size=block_size,
            blocks=blocks,
            blocks_per_group=per_group,
            inodes_per_group=inodes_per_group,
            inode_size=options.inode_size,
            descriptor_size=64 if is_wide else 32,
            groups_per_flex=options.groups_per_flex,
        )
        if geometry.descriptor_blocks + 1 >= block_size * 8:
            raise UserError(
                f"ext4: {blocks * block_size} bytes are too many for a block size of {block_size}; use a larger one"
            )
        last = groups - 1
        copy = 1 + geometry.descriptor_blocks if last in geometry.backup_groups else 0
        least = copy + 2 + geometry.table_blocks
        found = geometry.group_blocks(last)
        if least > (per_group if last else found):
            raise NoRoomError
        if not last or found == per_group or found >= least + _MIN_SPARE_BLOCKS:
            return geometry
        blocks = geometry.group_start(last)


def _smaller_groups(per_group: int, options: Ext4Options, blocks: int, inodes: int) -> int:
    """Returns the next size to try, in blocks, after groups of `per_group` blocks were too few for the inodes."""
    wanted = _wanted(options, blocks, inodes)
    table_blocks = wanted * options.inode_size // options.block_size
    if table_blocks >= blocks:
        raise NoRoomError(f"the tables of the {wanted} inodes that are to be there have {table_blocks} blocks")
    span = blocks - SUPERBLOCK_OFFSET // options.block_size
    groups = max(-(-wanted // (options.block_size * 8)), -(-span // per_group))
    last = 2 + table_blocks // groups + _MIN_SPARE_BLOCKS
    # The largest one with as many groups, the last of which is not left out; else one more group.
    size = min(per_group - _GROUP_UNIT, max((span - last) // (groups - 1), span // groups))
    if size < _MIN_GROUP:
        raise NoRoomError(f"no size of groups gives room for the {wanted} inodes that are to be there")
    return size // _GROUP_UNIT * _GROUP_UNIT


def _wanted(options: Ext4Options, blocks: int, inodes: int) -> int:
    """Returns the number of inodes that a file system of `blocks` blocks is to have at least."""
    return options.inode_count or max(blocks * options.block_size // options.inode_ratio, inodes)


def _inodes_per_group(options: Ext4Options, wanted: int, groups: int) -> int:
    """Returns the inodes per group, rounded up to fill the inode table's blocks and the bitmap's bytes."""
    unit = max(options.block_size // options.inode_size, 8)
    inodes_per_group = -(-wanted // (groups * unit)) * unit
    if inodes_per_group * groups > _MAX_INODES:
        raise UserError(f"ext4: {wanted} inodes are more than {_MAX_INODES}; use a larger inode ratio, or a count")
    return inodes_per_group
