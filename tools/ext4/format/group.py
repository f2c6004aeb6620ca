"""Packs and parses group descriptors ("Block Group Descriptors" in Linux Documentation/filesystems/ext4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tools.ext4.format.checksum import crc16, crc32c
from tools.ext4.format.constants import RoCompat
from tools.ext4.format.superblock import Superblock

_LOW = struct.Struct("<3I4H4x4H")
_HIGH = struct.Struct("<3I4H4x2H4x")
_CHECKSUM = struct.Struct("<H")
_CHECKSUM_AT = 0x1E
MIN_DESCRIPTOR_SIZE = 32
"""The size of a descriptor without the feature 64bit."""

_WORD = 0xFFFFFFFF
_HALF = 0xFFFF


@dataclass(slots=True, kw_only=True)
class GroupDescriptor:
    """A group descriptor, without its own checksum; the bitmaps' checksums are 0 without metadata_csum.

    The numbers of blocks may be relative to a base, which `pack` adds.
    """

    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    free_blocks: int
    free_inodes: int
    directories: int
    flags: int
    unused_inodes: int
    block_bitmap_checksum: int = 0
    inode_bitmap_checksum: int = 0

    def pack(self, size: int, base: int = 0) -> bytes:
        """Packs the descriptor, with 0 as its checksum.

        Args:
            size: 32 or 64 bytes.
            base: the block that the block numbers are relative to.
        """
        block_bitmap = base + self.block_bitmap
        inode_bitmap = base + self.inode_bitmap
        inode_table = base + self.inode_table
        low = _LOW.pack(
            block_bitmap & _WORD,
            inode_bitmap & _WORD,
            inode_table & _WORD,
            self.free_blocks,
            self.free_inodes,
            self.directories,
            self.flags,
            self.block_bitmap_checksum & _HALF,
            self.inode_bitmap_checksum & _HALF,
            self.unused_inodes,
            0,
        )
        if size == MIN_DESCRIPTOR_SIZE:
            return low
        return low + _HIGH.pack(
            block_bitmap >> 32,
            inode_bitmap >> 32,
            inode_table >> 32,
            0,
            0,
            0,
            0,
            self.block_bitmap_checksum >> 16,
            self.inode_bitmap_checksum >> 16,
        )

    @classmethod
    def parse(cls, data: bytes) -> GroupDescriptor:
        """Parses a descriptor of 32 bytes, or of 64 and more."""
        low = _LOW.unpack_from(data)
        high = _HIGH.unpack_from(data, MIN_DESCRIPTOR_SIZE) if len(data) > MIN_DESCRIPTOR_SIZE else (0,) * 9
        return cls(
            block_bitmap=low[0] | high[0] << 32,
            inode_bitmap=low[1] | high[1] << 32,
            inode_table=low[2] | high[2] << 32,
            free_blocks=low[3] | high[3] << 16,
            free_inodes=low[4] | high[4] << 16,
            directories=low[5] | high[5] << 16,
            flags=low[6],
            unused_inodes=low[9] | high[6] << 16,
            block_bitmap_checksum=low[7] | high[7] << 16,
            inode_bitmap_checksum=low[8] | high[8] << 16,
        )


class DescriptorChecksum:
    """Computes the descriptors' checksums: CRC-32C with metadata_csum, CRC-16 with gdt_csum, else none."""

    __slots__ = ("_crc16_of_uuid", "_has_crc16", "_has_crc32c", "_seed")

    def __init__(self, superblock: Superblock) -> None:
        self._has_crc32c = superblock.has_metadata_csum
        self._has_crc16 = bool(superblock.ro_compat & RoCompat.GDT_CSUM)
        self._seed = superblock.seed
        self._crc16_of_uuid = crc16(0xFFFF, superblock.uuid)

    def compute(self, group: int, descriptor: bytes) -> int:
        """Returns the checksum of a descriptor; 0 if the file system has none.

        Args:
            group: number of the group.
            descriptor: the packed descriptor; its checksum field is ignored.
        """
        before, after = descriptor[:_CHECKSUM_AT], descriptor[MIN_DESCRIPTOR_SIZE:]
        number = group.to_bytes(4, "little")
        if self._has_crc32c:
            return crc32c(self._seed, number + before + b"\0\0" + after) & _HALF
        if self._has_crc16:
            return crc16(self._crc16_of_uuid, number + before + after)
        return 0

    def sealed(self, group: int, descriptor: bytes) -> bytes:
        """Returns the packed descriptor of a group with its checksum set."""
        checksum = _CHECKSUM.pack(self.compute(group, descriptor))
        return descriptor[:_CHECKSUM_AT] + checksum + descriptor[MIN_DESCRIPTOR_SIZE:]

    def is_right(self, group: int, descriptor: bytes) -> bool:
        """Returns whether the checksum of a packed descriptor is correct; True if the file system has none."""
        if not (self._has_crc32c or self._has_crc16):
            return True
        return bool(_CHECKSUM.unpack_from(descriptor, _CHECKSUM_AT)[0] == self.compute(group, descriptor))


def bitmap_checksum(superblock: Superblock, bitmap: bytes, bits: int) -> int:
    """Returns the checksum of a bitmap for its group's descriptor; 0 without metadata_csum.

    Args:
        superblock: the file system's.
        bitmap: the packed bitmap.
        bits: number of bits of the bitmap that the checksum covers.

    Returns:
        32 bits, or the low 16 bits if descriptors have 32 bytes.
    """
    if not superblock.has_metadata_csum:
        return 0
    checksum = crc32c(superblock.seed, bitmap[: bits // 8])
    return checksum if superblock.descriptor_size > MIN_DESCRIPTOR_SIZE else checksum & _HALF
