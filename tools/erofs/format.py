"""The structures of EROFS on the disk: superblock and inodes, packed and parsed.

The format, here and in the other modules, is as in "EROFS - Enhanced Read-Only File System" (Linux
Documentation/filesystems/erofs.rst), and in fs/erofs/erofs_fs.h for the fields. All numbers are little-endian.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import astuple, dataclass, fields

import google_crc32c

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_SIZE = 128
MAGIC = 0xE0F5E1E2
BLOCK_SIZE = 4096
"""The block size that is written: the only one that kernels before 6.4 read on machines with pages of 4 KiB."""

SLOT_SIZE = 32
"""Inodes begin at multiples of this; the number of an inode (nid) counts them from the metadata area on."""

NULL_ADDRESS = 0xFFFFFFFF
"""The block address of a chunk that is a hole."""

MAX_CHUNK_BITS = 31
"""A chunk has at most `2**MAX_CHUNK_BITS` blocks (EROFS_CHUNK_FORMAT_BLKBITS_MASK)."""

CHUNK_INDEXES = 0x20
"""Flag of a chunk format: 8 bytes for each chunk, of which the last 4 are the address, instead of 4 bytes."""

FILE_TYPES = {0o100000: 1, 0o040000: 2, 0o020000: 3, 0o060000: 4, 0o010000: 5, 0o140000: 6, 0o120000: 7}
"""Maps the file type of a mode to that of a directory entry (FT_REG_FILE, … in Linux include/linux/fs_types.h)."""

_SUPERBLOCK = struct.Struct("<IIIBBHQqIIII16s16sI2xH2xBB4xQ24x")
_COMPACT = struct.Struct("<HHHHIIIIHHI")
_EXTENDED = struct.Struct("<HHHHQIIIIqII16x")
_FORMAT = struct.Struct("<H")
_CHECKSUM_AT = 4
_ALL_ONES = 0xFFFFFFFF
_MOST_SHORT = 0xFFFF
_KNOWN_FORMAT = 0xF
"""The bits of i_format of the version and the layout (EROFS_I_ALL)."""


class Compat(enum.IntFlag):
    """Compatible features: a driver may ignore them."""

    SB_CHKSUM = 0x1
    MTIME = 0x2


class Incompat(enum.IntFlag):
    """Incompatible features: a driver must know them to read the file system."""

    ZERO_PADDING = 0x1
    COMPR_CFGS = 0x2
    CHUNKED_FILE = 0x4
    DEVICE_TABLE = 0x8
    ZTAILPACKING = 0x10
    FRAGMENTS = 0x20
    XATTR_PREFIXES = 0x40


class Layout(enum.IntEnum):
    """Where the data of an inode is (bits 1 to 3 of i_format)."""

    FLAT_PLAIN = 0
    COMPRESSED_FULL = 1
    FLAT_INLINE = 2
    COMPRESSED_COMPACT = 3
    CHUNK_BASED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """The superblock; its fields are in the order in which they are stored after the magic number.

    Attributes:
        checksum: CRC-32C, 0 while it is not known.
        feature_compat: `Compat` flags.
        block_bits: the block size is `2**block_bits`.
        extension_slots: number of 16-byte slots after the superblock.
        root_nid: number of the root's inode.
        inodes: number of inodes.
        build_time: seconds since the epoch: the time of compact inodes.
        build_time_ns: nanoseconds of it.
        blocks: number of blocks.
        metadata_block: the block from which inodes are counted.
        xattr_block: the block from which shared attributes are counted.
        uuid: 16 bytes.
        label: at most 15 bytes.
        feature_incompat: `Incompat` flags.
        extra_devices: number of devices besides this one.
        directory_block_bits: 0; other sizes of directory blocks are not defined yet.
        prefix_count: number of long prefixes of attribute names.
        packed_nid: number of the inode with fragments, or 0.
    """

    checksum: int = 0
    feature_compat: int = 0
    block_bits: int = 12
    extension_slots: int = 0
    root_nid: int
    inodes: int
    build_time: int = 0
    build_time_ns: int = 0
    blocks: int
    metadata_block: int
    xattr_block: int = 0
    uuid: bytes
    label: bytes = b""
    feature_incompat: int = 0
    extra_devices: int = 0
    directory_block_bits: int = 0
    prefix_count: int = 0
    packed_nid: int = 0

    @property
    def block_size(self) -> int:
        """Size of a block in bytes."""
        return 1 << self.block_bits

    def pack(self) -> bytes:
        """Returns the 128 bytes of the superblock."""
        return _SUPERBLOCK.pack(MAGIC, *astuple(self))

    @classmethod
    def parse(cls, data: bytes) -> Superblock | None:
        """Returns the superblock in 128 bytes; None if it has another magic number."""
        magic, *stored = _SUPERBLOCK.unpack(data)
        if magic != MAGIC:
            return None
        values = dict(zip((field.name for field in fields(cls)), stored, strict=True))
        return cls(**values | {"label": values["label"].rstrip(b"\0")})


def superblock_checksum(block: bytes) -> int:
    """Returns the checksum for the bytes from the superblock to the end of its block, whatever checksum they have."""
    plain = block[:_CHECKSUM_AT] + b"\0\0\0\0" + block[_CHECKSUM_AT + 4 :]
    return int(google_crc32c.value(plain)) ^ _ALL_ONES


@dataclass(slots=True, kw_only=True)
class Inode:
    """An inode, compact (32 bytes) or extended (64 bytes).

    Attributes:
        layout: where its data is.
        xattr_count: i_xattr_icount: 0, or 1 and the number of 4-byte words after the header of the attributes.
        mode: file type and permissions.
        links: number of its names.
        size: in bytes.
        place: block address, device number, or format of the chunks, by type and layout.
        number: for systems whose inode numbers have 32 bits.
        uid: user ID.
        gid: group ID.
        mtime: seconds since the epoch; None for a compact inode.
        mtime_ns: nanoseconds of it.
        after_build: the time of a compact inode, in seconds after the build time; kernels before 6.15 take it as 0.
    """

    layout: int
    xattr_count: int = 0
    mode: int
    links: int
    size: int
    place: int
    number: int = 0
    uid: int
    gid: int
    mtime: int | None = None
    mtime_ns: int = 0
    after_build: int = 0

    def pack(self) -> bytes:
        """Returns the compact inode if there is no time, else the extended one."""
        form = self.layout << 1
        if self.mtime is None:
            return _COMPACT.pack(
                form,
                self.xattr_count,
                self.mode,
                self.links,
                self.size,
                self.after_build,
                self.place,
                self.number,
                self.uid,
                self.gid,
                0,
            )
        return _EXTENDED.pack(
            form | 1,
            self.xattr_count,
            self.mode,
            0,
            self.size,
            self.place,
            self.number,
            self.uid,
            self.gid,
            self.mtime,
            self.mtime_ns,
            self.links,
        )


COMPACT_SIZE = _COMPACT.size
EXTENDED_SIZE = _EXTENDED.size


def parse_inode(data: bytes) -> Inode:
    """Parses the inode at the start of `data`, which has 64 bytes, or 32 at the end of an image.

    Raises:
        ValueError: its format is unknown, or it is truncated.
    """
    (form,) = _FORMAT.unpack_from(data)
    if form & ~_KNOWN_FORMAT or form >> 1 > Layout.CHUNK_BASED:
        raise ValueError(f"unknown format {form:#x}")
    if len(data) < (EXTENDED_SIZE if form & 1 else COMPACT_SIZE):
        raise ValueError("it runs over the end of the file system")
    if form & 1:
        _, count, mode, _, size, place, number, uid, gid, mtime, mtime_ns, links = _EXTENDED.unpack_from(data)
        after_build = 0
    else:
        _, count, mode, links, size, after_build, place, number, uid, gid, _ = _COMPACT.unpack_from(data)
        mtime, mtime_ns = None, 0
    return Inode(
        layout=form >> 1,
        xattr_count=count,
        mode=mode,
        links=links,
        size=size,
        place=place,
        number=number,
        uid=uid,
        gid=gid,
        mtime=mtime,
        mtime_ns=mtime_ns,
        after_build=after_build,
    )


def fits_compact(*, uid: int, gid: int, links: int, size: int) -> bool:
    """Returns whether the fields of a compact inode can hold these values."""
    return max(uid, gid, links) <= _MOST_SHORT and size <= _ALL_ONES
