"""Packs and parses superblocks ("The Super Block" in Linux Documentation/filesystems/ext4)."""

from __future__ import annotations

import enum
import struct
import uuid
from dataclasses import dataclass

from tools.ext4.format.checksum import crc32c, file_system_seed
from tools.ext4.format.constants import MAGIC, SUPERBLOCK_SIZE, Compat, Incompat, RoCompat, feature_names

_CHECKSUM_AT = 0x3FC

_FIELDS = {
    "inodes": (0x000, "I"),
    "blocks": (0x004, "I"),
    "reserved_blocks": (0x008, "I"),
    "free_blocks": (0x00C, "I"),
    "free_inodes": (0x010, "I"),
    "first_block": (0x014, "I"),
    "log_block_size": (0x018, "I"),
    "log_cluster_size": (0x01C, "I"),
    "blocks_per_group": (0x020, "I"),
    "clusters_per_group": (0x024, "I"),
    "inodes_per_group": (0x028, "I"),
    "mount_time": (0x02C, "I"),
    "write_time": (0x030, "I"),
    "mount_count": (0x034, "H"),
    "max_mount_count": (0x036, "H"),
    "magic": (0x038, "H"),
    "state": (0x03A, "H"),
    "errors": (0x03C, "H"),
    "last_check": (0x040, "I"),
    "revision": (0x04C, "I"),
    "first_inode": (0x054, "I"),
    "inode_size": (0x058, "H"),
    "group_number": (0x05A, "H"),
    "compat": (0x05C, "I"),
    "incompat": (0x060, "I"),
    "ro_compat": (0x064, "I"),
    "uuid": (0x068, "16s"),
    "label": (0x078, "16s"),
    "reserved_descriptor_blocks": (0x0CE, "H"),
    "journal_inode": (0x0E0, "I"),
    "hash_seed": (0x0EC, "16s"),
    "hash_version": (0x0FC, "B"),
    "journal_backup_type": (0x0FD, "B"),
    "descriptor_size": (0x0FE, "H"),
    "mount_options": (0x100, "I"),
    "first_meta_group": (0x104, "I"),
    "creation_time": (0x108, "I"),
    "journal_backup": (0x10C, "68s"),
    "min_extra_inode_size": (0x15C, "H"),
    "want_extra_inode_size": (0x15E, "H"),
    "flags": (0x160, "I"),
    "log_groups_per_flex": (0x174, "B"),
    "checksum_type": (0x175, "B"),
    "overhead_blocks": (0x248, "I"),
    "lost_and_found_inode": (0x268, "I"),
    "checksum_seed": (0x270, "I"),
}
"""Maps each field to its offset and its little-endian `struct` format; all other bytes are 0."""

_HIGH = {
    "blocks": (0x150, "I"),
    "reserved_blocks": (0x154, "I"),
    "free_blocks": (0x158, "I"),
    "write_time": (0x274, "B"),
    "mount_time": (0x275, "B"),
    "creation_time": (0x276, "B"),
    "last_check": (0x277, "B"),
}
"""Maps fields of more than 32 bits to the offset and `struct` format of their high bits."""


@dataclass(kw_only=True, slots=True)
class Superblock:
    """The fields of the superblock that the writer sets or the reader uses.

    Fields with a low and a high part on disk are one number here. Times are in seconds since the epoch. `label` has no
    padding. `overhead_blocks` is the number of blocks of fixed metadata and the journal.
    """

    inodes: int
    blocks: int
    reserved_blocks: int
    free_blocks: int
    free_inodes: int
    first_block: int
    log_block_size: int
    log_cluster_size: int
    blocks_per_group: int
    clusters_per_group: int
    inodes_per_group: int
    mount_time: int = 0
    write_time: int = 0
    mount_count: int = 0
    max_mount_count: int = 0xFFFF
    magic: int = MAGIC
    state: int = 1
    errors: int = 1
    last_check: int = 0
    revision: int = 1
    first_inode: int
    inode_size: int
    group_number: int = 0
    compat: int
    incompat: int
    ro_compat: int
    uuid: bytes
    label: bytes = b""
    reserved_descriptor_blocks: int = 0
    journal_inode: int = 0
    hash_seed: bytes
    hash_version: int = 1
    journal_backup_type: int = 0
    descriptor_size: int
    mount_options: int = 0
    first_meta_group: int = 0
    creation_time: int = 0
    journal_backup: bytes = b""
    min_extra_inode_size: int = 0
    want_extra_inode_size: int = 0
    flags: int = 0
    log_groups_per_flex: int = 0
    checksum_type: int = 0
    overhead_blocks: int = 0
    lost_and_found_inode: int = 0
    checksum_seed: int = 0

    @property
    def block_size(self) -> int:
        """The block size in bytes."""
        return 1024 << self.log_block_size

    @property
    def groups(self) -> int:
        """The number of block groups."""
        return -(-(self.blocks - self.first_block) // self.blocks_per_group)

    @property
    def has_metadata_csum(self) -> bool:
        """Whether all metadata has checksums."""
        return bool(self.ro_compat & RoCompat.METADATA_CSUM)

    @property
    def is_wide(self) -> bool:
        """Whether block numbers have more than 32 bits and descriptors 64 bytes."""
        return bool(self.incompat & Incompat.BIT64)

    @property
    def seed(self) -> int:
        """The seed of the metadata checksums."""
        return self.checksum_seed if self.incompat & Incompat.CSUM_SEED else file_system_seed(self.uuid)

    @property
    def uuid_text(self) -> str:
        """The UUID in its usual text form."""
        return str(uuid.UUID(bytes=self.uuid))

    @property
    def features(self) -> list[str]:
        """The names of the enabled features."""
        words: list[tuple[type[enum.IntFlag], int]] = [
            (Compat, self.compat),
            (Incompat, self.incompat),
            (RoCompat, self.ro_compat),
        ]
        return [name for kind, word in words for name in feature_names(kind, word)]

    def pack(self) -> bytes:
        """Packs the superblock into 1024 bytes, with its checksum if it has metadata_csum."""
        block = bytearray(SUPERBLOCK_SIZE)
        for name, (offset, form) in _FIELDS.items():
            value = getattr(self, name)
            if name in _HIGH:
                struct.pack_into("<" + _HIGH[name][1], block, _HIGH[name][0], value >> 32)
                value &= 0xFFFFFFFF
            struct.pack_into("<" + form, block, offset, value)
        if self.has_metadata_csum:
            struct.pack_into("<I", block, _CHECKSUM_AT, crc32c(0xFFFFFFFF, bytes(block[:_CHECKSUM_AT])))
        return bytes(block)

    @classmethod
    def parse(cls, block: bytes) -> Superblock:
        """Parses a superblock; checks nothing, see `superblock_checksum_is_right` and `Volume`.

        Args:
            block: 1024 bytes.
        """
        values = {name: struct.unpack_from("<" + form, block, offset)[0] for name, (offset, form) in _FIELDS.items()}
        for name, (offset, form) in _HIGH.items():
            values[name] |= struct.unpack_from("<" + form, block, offset)[0] << 32
        values["label"] = values["label"].split(b"\0")[0]
        return cls(**values)


def superblock_checksum_is_right(block: bytes) -> bool:
    """Returns whether the checksum at the end of a superblock is correct."""
    return bool(struct.unpack_from("<I", block, _CHECKSUM_AT)[0] == crc32c(0xFFFFFFFF, block[:_CHECKSUM_AT]))
