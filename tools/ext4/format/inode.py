"""Packs and parses inodes ("Index Nodes" in Linux Documentation/filesystems/ext4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tools.ext4.format.checksum import crc32c, crc32c_of_int

OLD_SIZE = 128
"""Size in bytes of an inode of ext2, without extra fields."""

EXTRA_SIZE = 32
"""Size in bytes of the extra fields of a larger inode (i_extra_isize); extended attributes follow them."""

POINTER_SIZE = 60
"""Size in bytes of i_block: the root of the extent tree, a short symlink target or a device number."""

_BASE = struct.Struct("<HHIIIIIHHIII60sIIII5H2x")
_EXTRA = struct.Struct("<HHIIIIIII")
_CHECKSUM = struct.Struct("<H")
_CHECKSUM_LOW_AT = 0x7C
_CHECKSUM_HIGH_AT = 0x82
_GENERATION_AT = 0x64
_EXTRA_AT = OLD_SIZE

_EPOCH_BITS = 3
_NANOSECONDS = 10**9
_BIAS = 2**31
_OLD_LIMIT = 2**31
_LIMIT = 2**34 - 2**31
_WORD = 0xFFFFFFFF
_HALF = 0xFFFF


@dataclass(slots=True, kw_only=True)
class Inode:
    """The fields of an inode that the writer sets or the reader uses.

    Attributes:
        mode: file type and permissions.
        uid: user ID.
        gid: group ID.
        size: size of the content in bytes.
        mtime_ns: modification time in nanoseconds since the epoch; written as the other times, too.
        links: link count.
        sectors: space in use, in units of 512 bytes (i_blocks).
        flags: `InodeFlag` values.
        pointer: i_block, 60 bytes: the root of the extent tree, a short symlink target or a device number.
        xattr_block: number of the block with extended attributes, or 0 (i_file_acl).
        tail: the bytes after the extra fields of an inode larger than 128 bytes: extended attributes.
        generation: i_generation, part of the seed of the inode's checksums.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    links: int
    sectors: int
    flags: int
    pointer: bytes
    xattr_block: int = 0
    tail: bytes = b""
    generation: int = 0


def time_limit(inode_size: int) -> int:
    """Returns the first second after the range of an inode's times; the range begins at -2^31."""
    return _LIMIT if inode_size > OLD_SIZE else _OLD_LIMIT


def pack_inode_into(table: bytearray, offset: int, size: int, inode: Inode) -> None:
    """Packs an inode into zeroed bytes of an inode table, without its checksum.

    Args:
        table: the inode table.
        offset: offset of the inode in `table`.
        size: size of an inode in bytes.
        inode: the inode; all fields must be in range.
    """
    seconds, nanoseconds = divmod(inode.mtime_ns, _NANOSECONDS)
    time = seconds & _WORD
    _BASE.pack_into(
        table,
        offset,
        inode.mode,
        inode.uid & _HALF,
        inode.size & _WORD,
        time,
        time,
        time,
        0,
        inode.gid & _HALF,
        inode.links,
        inode.sectors & _WORD,
        inode.flags,
        0,
        inode.pointer,
        inode.generation,
        inode.xattr_block & _WORD,
        inode.size >> 32,
        0,
        inode.sectors >> 32,
        inode.xattr_block >> 32,
        inode.uid >> 16,
        inode.gid >> 16,
        0,
    )
    if size > OLD_SIZE:
        extra = nanoseconds << 2 | (seconds + _BIAS) >> 32
        _EXTRA.pack_into(table, offset + _EXTRA_AT, EXTRA_SIZE, 0, extra, extra, extra, time, extra, 0, 0)
        if inode.tail:
            begin = offset + OLD_SIZE + EXTRA_SIZE
            table[begin : begin + len(inode.tail)] = inode.tail


def parse_inode(data: bytes) -> Inode:
    """Parses an inode; checks only i_extra_isize.

    Args:
        data: the whole inode, 128 bytes or more.

    Raises:
        ValueError: i_extra_isize is not a multiple of 4, or the extra fields are longer than the inode.
    """
    base = _BASE.unpack_from(data)
    seconds = base[5] - (base[5] >> 31 << 32)
    nanoseconds = 0
    tail = b""
    if len(data) > OLD_SIZE:
        extra_size = int.from_bytes(data[_EXTRA_AT : _EXTRA_AT + 2], "little")
        if extra_size % 4 or OLD_SIZE + extra_size > len(data):
            raise ValueError(f"extra size {extra_size}")
        fields = data[_EXTRA_AT : _EXTRA_AT + extra_size].ljust(EXTRA_SIZE, b"\0")
        extra = _EXTRA.unpack_from(fields)[3]
        seconds += (extra & _EPOCH_BITS) << 32
        nanoseconds = extra >> 2
        tail = data[OLD_SIZE + extra_size :]
    return Inode(
        mode=base[0],
        uid=base[1] | base[19] << 16,
        gid=base[7] | base[20] << 16,
        size=base[2] | base[15] << 32,
        mtime_ns=seconds * _NANOSECONDS + nanoseconds,
        links=base[8],
        sectors=base[9] | base[17] << 32,
        flags=base[10],
        pointer=base[12],
        xattr_block=base[14] | base[18] << 32,
        tail=tail,
        generation=base[13],
    )


def inode_seed(seed: int, number: int, generation: int = 0) -> int:
    """Returns the seed for the checksums of an inode, its directory blocks and its extent tree's blocks.

    Args:
        seed: the file system's checksum seed.
        number: inode number.
        generation: i_generation.
    """
    return crc32c_of_int(crc32c_of_int(seed, number), generation)


def _checksum(seed: int, data: bytes) -> int:
    low = data[:_CHECKSUM_LOW_AT] + b"\0\0" + data[_CHECKSUM_LOW_AT + 2 : OLD_SIZE]
    if not _has_high_half(data):
        return crc32c(seed, low + data[OLD_SIZE:]) & _HALF
    return crc32c(seed, low + data[OLD_SIZE:_CHECKSUM_HIGH_AT] + b"\0\0" + data[_CHECKSUM_HIGH_AT + 2 :])


def _has_high_half(data: bytes) -> bool:
    return len(data) > OLD_SIZE and data[_EXTRA_AT] | data[_EXTRA_AT + 1] << 8 >= _CHECKSUM_HIGH_AT + 2 - OLD_SIZE


def seal_inode(table: bytearray, offset: int, size: int, seed: int) -> None:
    """Sets the checksum of an inode that `pack_inode_into` packed.

    Args:
        table: the inode table.
        offset: offset of the inode in `table`.
        size: size of an inode in bytes.
        seed: the inode's seed, from `inode_seed`.
    """
    checksum = crc32c(seed, bytes(table[offset : offset + size]))
    _CHECKSUM.pack_into(table, offset + _CHECKSUM_LOW_AT, checksum & _HALF)
    if size > OLD_SIZE:
        _CHECKSUM.pack_into(table, offset + _CHECKSUM_HIGH_AT, checksum >> 16)


def inode_checksum_is_right(seed: int, number: int, data: bytes) -> bool:
    """Returns whether the checksum of an inode read from disk is correct.

    Args:
        seed: the file system's checksum seed.
        number: inode number.
        data: the whole inode.
    """
    found = _CHECKSUM.unpack_from(data, _CHECKSUM_LOW_AT)[0]
    if _has_high_half(data):
        found |= _CHECKSUM.unpack_from(data, _CHECKSUM_HIGH_AT)[0] << 16
    generation = int.from_bytes(data[_GENERATION_AT : _GENERATION_AT + 4], "little")
    return bool(found == _checksum(inode_seed(seed, number, generation), data))
