"""Builds group descriptors, bitmaps, inode tables, and the copies of superblock and descriptors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tools.ext4.allocate import Run
from tools.ext4.format.constants import SUPERBLOCK_OFFSET, GroupFlag
from tools.ext4.format.group import DescriptorChecksum, GroupDescriptor, bitmap_checksum
from tools.ext4.format.superblock import Superblock
from tools.ext4.geometry import Flex, FlexLayout, Geometry
from tools.image.extents import Data, Extent, Source


@dataclass(frozen=True, slots=True)
class Usage:
    """Which blocks and inodes are in use.

    Attributes:
        position: number of a block; all blocks below it are in use except for `freed`, and from it on only metadata
            and `apart`.
        freed: runs of blocks.
        apart: runs of blocks.
        inodes: bitmap of the inodes in use, from inode 1 to the last one in use.
        directories: group number to the number of directories among its inodes.
        inode_table: the packed inodes from inode 1 on.
    """

    position: int
    freed: Sequence[Run]
    apart: Sequence[Run]
    inodes: bytearray
    directories: Mapping[int, int]
    inode_table: Source


def describe_tables(geometry: Geometry, superblock: Superblock, usage: Usage) -> list[Extent]:
    """Returns the extents of all descriptors, bitmaps and inode tables, with offsets in the image.

    Groups without allocations get no bitmaps, but the flags BLOCK_UNINIT and INODE_UNINIT. Inode tables have data only
    for the inodes in use; the rest is a hole, which reads as zeros, as INODE_ZEROED demands.
    """
    tables = _Tables(geometry, superblock, usage)
    for index in range(geometry.flex_groups):
        tables.add_flex(geometry.flex(index))
    tables.add_copies()
    return tables.extents


@dataclass(slots=True)
class _Group:
    """A group's descriptor, with block numbers relative to its flex group, and its bitmaps, if it has any."""

    descriptor: GroupDescriptor
    block_bitmap: bytes | None = None
    inode_bitmap: bytes | None = None


class _Tables:
    """The extents and packed descriptors built so far."""

    def __init__(self, geometry: Geometry, superblock: Superblock, usage: Usage) -> None:
        self.geometry = geometry
        self.superblock = superblock
        self.usage = usage
        self.checksum = DescriptorChecksum(superblock)
        self.descriptors: list[bytes] = []
        self.extents: list[Extent] = []
        self.untouched: dict[FlexLayout, list[_Group]] = {}
        self.freed = _bits_of_groups(geometry, usage.freed)
        self.apart = _bits_of_groups(geometry, usage.apart)

    def add_flex(self, flex: Flex) -> None:
        """Adds the groups of a flex group."""
        size = self.geometry.descriptor_size
        for number, group in enumerate(self._groups(flex), flex.first_group):
            descriptor = group.descriptor
            self.descriptors.append(self.checksum.sealed(number, descriptor.pack(size, flex.start)))
            if group.block_bitmap:
                self._add(flex.start + descriptor.block_bitmap, group.block_bitmap)
            if group.inode_bitmap:
                self._add(flex.start + descriptor.inode_bitmap, group.inode_bitmap)
                self._add_inodes(number, flex.start + descriptor.inode_table, descriptor.unused_inodes)

    def _groups(self, flex: Flex) -> list[_Group]:
        """Returns the groups of a flex group; unused flex groups with the same layout share one list."""
        geometry, usage = self.geometry, self.usage
        numbers = range(flex.first_group, flex.first_group + len(flex.layout.used))
        is_touched = flex.start < usage.position or numbers[0] * geometry.inodes_per_group < len(usage.inodes) * 8
        is_touched = is_touched or any(number in self.apart for number in numbers)
        if is_touched or numbers[-1] == geometry.groups - 1:
            return [self._group(flex, number) for number in numbers]
        if flex.layout not in self.untouched:
            self.untouched[flex.layout] = [self._group(flex, number) for number in numbers]
        return self.untouched[flex.layout]

    def _group(self, flex: Flex, number: int) -> _Group:
        layout, index = flex.layout, number - flex.first_group
        descriptor = GroupDescriptor(
            block_bitmap=layout.block_bitmaps[index],
            inode_bitmap=layout.inode_bitmaps[index],
            inode_table=layout.inode_tables[index],
            free_blocks=0,
            free_inodes=0,
            directories=self.usage.directories.get(number, 0),
            flags=GroupFlag.INODE_ZEROED,
            unused_inodes=0,
        )
        group = _Group(descriptor)
        self._set_blocks(number, group, layout.used[index], may_be_uninit=layout.own[index])
        self._set_inodes(number, group)
        return group

    def _set_blocks(self, number: int, group: _Group, used: int, *, may_be_uninit: bool) -> None:
        """Sets the descriptor's count of free blocks, and the block bitmap if the group needs one.

        A driver can compute the bitmap of an unused group (BLOCK_UNINIT) if no other group's metadata is in it. The
        last group always has a bitmap, since e2fsck detects a truncated file system by it.
        """
        geometry, descriptor = self.geometry, group.descriptor
        count = geometry.group_blocks(number)
        reached = min(max(self.usage.position - geometry.group_start(number), 0), count)
        bits = used | (1 << reached) - 1 & ~self.freed.get(number, 0) | self.apart.get(number, 0)
        descriptor.free_blocks = count - bits.bit_count()
        if may_be_uninit and not reached and number not in self.apart and 0 < number < geometry.groups - 1:
            descriptor.flags |= GroupFlag.BLOCK_UNINIT
            return
        group.block_bitmap = _pack_bitmap(bits, count, geometry.block_size)
        descriptor.block_bitmap_checksum = bitmap_checksum(
            self.superblock, group.block_bitmap, geometry.blocks_per_group
        )

    def _set_inodes(self, number: int, group: _Group) -> None:
        """Sets the descriptor's counts of inodes, and the inode bitmap if any inode of the group is in use."""
        per_group, descriptor = self.geometry.inodes_per_group, group.descriptor
        begin, end = number * per_group // 8, (number + 1) * per_group // 8
        bits = int.from_bytes(self.usage.inodes[begin:end], "little")
        descriptor.free_inodes = per_group - bits.bit_count()
        descriptor.unused_inodes = per_group - bits.bit_length()
        if not bits:
            descriptor.flags |= GroupFlag.INODE_UNINIT
            return
        group.inode_bitmap = _pack_bitmap(bits, per_group, self.geometry.block_size)
        descriptor.inode_bitmap_checksum = bitmap_checksum(self.superblock, group.inode_bitmap, per_group)

    def _add_inodes(self, group: int, block: int, unused: int) -> None:
        """Adds the inode table of a group, without the unused inodes at its end."""
        size, count = self.geometry.inode_size, self.geometry.inodes_per_group
        source = self.usage.inode_table.advanced(group * count * size)
        self.extents.append(Extent(block * self.geometry.block_size, (count - unused) * size, source))

    def _add(self, block: int, data: bytes) -> None:
        self.extents.append(Extent(block * self.geometry.block_size, len(data), Data(data)))

    def add_copies(self) -> None:
        """Adds the superblock, the descriptors and their backup copies."""
        table = b"".join(self.descriptors)
        for group in sorted(self.geometry.backup_groups):
            start = self.geometry.group_start(group)
            packed = replace(self.superblock, group_number=group & 0xFFFF).pack()
            offset = start * self.geometry.block_size if group else SUPERBLOCK_OFFSET
            self.extents.append(Extent(offset, len(packed), Data(packed)))
            self._add(start + 1, table)


def _bits_of_groups(geometry: Geometry, runs: Iterable[Run]) -> dict[int, int]:
    """Returns, for each group with blocks of the runs, a bit mask of them (bit 0 is its first block)."""
    found: dict[int, int] = {}
    per_group = geometry.blocks_per_group
    for start, count in runs:
        done = 0
        while done < count:
            group, first = divmod(start + done - geometry.first_block, per_group)
            part = min(count - done, per_group - first)
            found[group] = found.get(group, 0) | ((1 << part) - 1) << first
            done += part
    return found


def _pack_bitmap(bits: int, count: int, block_size: int) -> bytes:
    """Packs a bitmap into a block.

    Args:
        bits: bit mask of what is in use.
        count: number of valid bits; the padding after them is set, as the format demands.
        block_size: in bytes.
    """
    padding = ((1 << (block_size * 8 - count)) - 1) << count
    return (bits | padding).to_bytes(block_size, "little")
