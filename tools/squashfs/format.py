"""The superblock of SquashFS, and numbers that several structures share.

The format, here and in the other modules, is as in "Squashfs 4.0 Filesystem" (Linux Documentation/filesystems/
squashfs.rst), and in fs/squashfs/squashfs_fs.h for the fields. All numbers are little-endian.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

MAGIC = 0x73717368
SUPERBLOCK_SIZE = 96
BLOCK_SIZES = tuple(1 << bits for bits in range(12, 21))
"""The sizes that a block of data can have: 4 KiB to 1 MiB (SQUASHFS_FILE_MAX_LOG)."""

NO_FRAGMENT = 0xFFFFFFFF
NO_XATTRS = 0xFFFFFFFF
NO_TABLE = 0xFFFFFFFFFFFFFFFF
RAW_BLOCK = 1 << 24
"""Flag in the size of a block of data that isn't compressed (SQUASHFS_COMPRESSED_BIT_BLOCK)."""

FRAGMENT = struct.Struct("<QII")
"""squashfs_fragment_entry: offset of the block, size with its flag, unused."""

_SUPERBLOCK = struct.Struct("<IIIIIHHHHHHQQQQQQQQ")
_VERSION = (4, 0)


class Flag(enum.IntFlag):
    """Flags of the superblock."""

    RAW_INODES = 0x1
    RAW_DATA = 0x2
    RAW_FRAGMENTS = 0x8
    ALWAYS_FRAGMENTS = 0x20
    DUPLICATES = 0x40
    EXPORTABLE = 0x80
    RAW_XATTRS = 0x100
    NO_XATTRS = 0x200
    RAW_IDS = 0x800


class InodeType(enum.IntEnum):
    """Types of inodes and directory entries; that of an extended inode is higher by `EXTENDED`."""

    DIRECTORY = 1
    FILE = 2
    SYMLINK = 3
    BLOCK_DEVICE = 4
    CHARACTER_DEVICE = 5
    FIFO = 6
    SOCKET = 7


EXTENDED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """The superblock.

    Attributes:
        inodes: number of inodes.
        time: when the file system was made, in seconds since the epoch.
        block_size: size of a block of data in bytes.
        fragments: number of blocks that hold the ends of files.
        compression: number of the compression (`ZLIB_COMPRESSION`, … in squashfs_fs.h).
        flags: see `Flag`.
        ids: number of user and group IDs.
        root: reference to the root's inode.
        bytes_used: size of the file system in bytes.
        id_table: offset in bytes of the index of the IDs.
        xattr_table: offset of the head of the extended attributes; `NO_TABLE` if there are none.
        inode_table: offset of the first inode.
        directory_table: offset of the first listing.
        fragment_table: offset of the index of the blocks with ends of files.
        export_table: offset of the index of the references to inodes, by their numbers.
    """

    inodes: int
    time: int
    block_size: int
    fragments: int
    compression: int
    flags: int
    ids: int
    root: int
    bytes_used: int
    id_table: int
    xattr_table: int
    inode_table: int
    directory_table: int
    fragment_table: int
    export_table: int

    def pack(self) -> bytes:
        """Returns the superblock as it is stored."""
        return _SUPERBLOCK.pack(
            MAGIC,
            self.inodes,
            self.time,
            self.block_size,
            self.fragments,
            self.compression,
            self.block_size.bit_length() - 1,
            self.flags,
            self.ids,
            *_VERSION,
            self.root,
            self.bytes_used,
            self.id_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        )

    @classmethod
    def parse(cls, data: bytes) -> Superblock | None:
        """Returns the superblock in `SUPERBLOCK_SIZE` bytes; None if they are not one.

        Raises:
            ValueError: its version or its block size is unknown.
        """
        fields = _SUPERBLOCK.unpack(data)
        magic, inodes, time, block_size, fragments, compression, block_log, flags, ids, major, minor = fields[:11]
        if magic != MAGIC:
            return None
        if (major, minor) != _VERSION:
            raise ValueError(f"version {major}.{minor} is not supported, only {_VERSION[0]}.{_VERSION[1]}")
        if block_size not in BLOCK_SIZES or block_size != 1 << block_log:
            raise ValueError(f"the block size {block_size} is impossible")
        root, used, id_table, xattr_table, inode_table, directory_table, fragment_table, export_table = fields[11:]
        return cls(
            inodes=inodes,
            time=time,
            block_size=block_size,
            fragments=fragments,
            compression=compression,
            flags=flags,
            ids=ids,
            root=root,
            bytes_used=used,
            id_table=id_table,
            xattr_table=xattr_table,
            inode_table=inode_table,
            directory_table=directory_table,
            fragment_table=fragment_table,
            export_table=export_table,
        )
