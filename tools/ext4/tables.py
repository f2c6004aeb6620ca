"""What the file system keeps of its groups: descriptors, bitmaps and inode tables, and the superblock's copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from tools.ext4.geometry import Flex, Geometry
from tools.ext4.group import DescriptorChecksum, GroupDescriptor, bitmap_checksum
from tools.ext4.ondisk import SUPERBLOCK_OFFSET, GroupFlag
from tools.ext4.superblock import Superblock
from tools.image.extents import Data, Extent


@dataclass(frozen=True, slots=True)
class Usage:
    """What is in use.

    Attributes:
        position: all blocks below this one, and none from it on but metadata.
        inodes: all inodes up to this one, reserved ones included.
        directories: how many directories have their inode in each group.
        inode_table: the inodes in use, one after another from the first on.
    """

    position: int
    inodes: int
    directories: Mapping[int, int]
    inode_table: bytearray


def describe_tables(geometry: Geometry, superblock: Superblock, usage: Usage) -> list[Extent]:
    """Returns the extents of all tables.

    Groups that nothing uses get no bitmaps: their descriptors say that there are none yet. Inode tables have data for
    the inodes in use alone; the rest is a hole, which is what an inode table that was zeroed looks like.
    """
    tables = _Tables(geometry, superblock, usage)
    for index in range(geometry.flex_groups):
        tables.add_flex(geometry.flex(index))
    tables.add_copies()
    return tables.extents


class _Tables:
    """The extents and descriptors made so far."""

    def __init__(self, geometry: Geometry, superblock: Superblock, usage: Usage) -> None:
        self.geometry = geometry
        self.superblock = superblock
        self.usage = usage
        self.inode_table = memoryview(usage.inode_table).toreadonly()
        self.checksum = DescriptorChecksum(superblock)
        self.descriptors: list[bytes] = []
        self.extents: list[Extent] = []

    def add_flex(self, flex: Flex) -> None:
        """Adds the groups of a flex group."""
        layout = flex.layout
        for index, used in enumerate(layout.used):
            group = flex.first_group + index
            descriptor = GroupDescriptor(
                block_bitmap=flex.start + layout.block_bitmaps[index],
                inode_bitmap=flex.start + layout.inode_bitmaps[index],
                inode_table=flex.start + layout.inode_tables[index],
                free_blocks=0,
                free_inodes=0,
                directories=self.usage.directories.get(group, 0),
                flags=GroupFlag.INODE_ZEROED,
                unused_inodes=0,
            )
            self._add_blocks(group, descriptor, used, may_be_uninit=layout.own[index])
            self._add_inodes(group, descriptor)
            packed = descriptor.pack(self.geometry.descriptor_size)
            self.descriptors.append(self.checksum.sealed(group, packed))

    def _add_blocks(self, group: int, descriptor: GroupDescriptor, used: int, *, may_be_uninit: bool) -> None:
        """Fills in what a descriptor says of blocks, and adds the bitmap if the group needs one.

        A driver can make the bitmap of an unused group itself if no other group's metadata is in it. The last group
        has a bitmap in any case: e2fsck finds a truncated file system by it.
        """
        geometry = self.geometry
        count = geometry.group_blocks(group)
        reached = min(max(self.usage.position - geometry.group_start(group), 0), count)
        bits = used | (1 << reached) - 1
        descriptor.free_blocks = count - bits.bit_count()
        if may_be_uninit and not reached and 0 < group < geometry.groups - 1:
            descriptor.flags |= GroupFlag.BLOCK_UNINIT
            return
        bitmap = _pack_bitmap(bits, count, geometry.block_size)
        descriptor.block_bitmap_checksum = bitmap_checksum(self.superblock, bitmap, geometry.blocks_per_group)
        self._add(descriptor.block_bitmap, bitmap)

    def _add_inodes(self, group: int, descriptor: GroupDescriptor) -> None:
        """Fills in what a descriptor says of inodes, and adds bitmap and table if the group has any."""
        geometry = self.geometry
        per_group = geometry.inodes_per_group
        count = min(max(self.usage.inodes - group * per_group, 0), per_group)
        descriptor.free_inodes = descriptor.unused_inodes = per_group - count
        if not count:
            descriptor.flags |= GroupFlag.INODE_UNINIT
            return
        bitmap = _pack_bitmap((1 << count) - 1, per_group, geometry.block_size)
        descriptor.inode_bitmap_checksum = bitmap_checksum(self.superblock, bitmap, per_group)
        self._add(descriptor.inode_bitmap, bitmap)
        begin = group * per_group * geometry.inode_size
        self._add(descriptor.inode_table, self.inode_table[begin : begin + count * geometry.inode_size])

    def _add(self, block: int, data: bytes | memoryview) -> None:
        self.extents.append(Extent(block * self.geometry.block_size, len(data), Data(data)))

    def add_copies(self) -> None:
        """Adds the superblock and the descriptors, and their copies."""
        table = b"".join(self.descriptors)
        for group in sorted(self.geometry.backup_groups):
            start = self.geometry.group_start(group)
            packed = replace(self.superblock, group_number=group & 0xFFFF).pack()
            offset = start * self.geometry.block_size if group else SUPERBLOCK_OFFSET
            self.extents.append(Extent(offset, len(packed), Data(packed)))
            self._add(start + 1, table)


@lru_cache(maxsize=16)
def _pack_bitmap(bits: int, count: int, block_size: int) -> bytes:
    """Returns a bitmap as it is on disk; the same object for the many groups that are alike.

    Args:
        bits: a number whose set bits are what is in use.
        count: how many bits mean something; those after them count as used.
        block_size: in bytes.
    """
    padding = ((1 << (block_size * 8 - count)) - 1) << count
    return (bits | padding).to_bytes(block_size, "little")
