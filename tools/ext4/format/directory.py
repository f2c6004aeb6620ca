"""Packs and parses the blocks of directories ("Directory Entries" in Linux Documentation/filesystems/ext4).

Each block is a sequence of entries. A directory of more than one block also has an index, see `htree`, whose blocks
look like unused entries to drivers without support for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tools.ext4.format.checksum import crc32c
from tools.ext4.format.constants import DIRENT_TYPE, NAME_MAX

DIRECTORY_TYPE = 2

_HEADER = struct.Struct("<IHBB")
_TAIL = struct.Struct("<IHBBI")
_TAIL_TYPE = 0xDE
_TAIL_START = struct.pack("<IHBB", 0, _TAIL.size, 0, _TAIL_TYPE)
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class Entry(NamedTuple):
    """A directory entry: name, inode number, and file type (a value of `DIRENT_TYPE`)."""

    name: bytes
    inode: int
    type: int


def entry_size(name: bytes) -> int:
    """Returns the size of an entry in bytes."""
    return 8 + (len(name) + 3 & ~3)


def block_capacity(block_size: int, *, has_tail: bool) -> int:
    """Returns how many bytes of a block are for entries; `has_tail` is whether it ends with a checksum."""
    return block_size - _TAIL.size if has_tail else block_size


def divide(names: Iterable[bytes], capacity: int) -> list[int]:
    """Returns how many entries, in order, each block holds, with as many in each as fit in `capacity` bytes."""
    counts = [0]
    left = capacity
    for name in names:
        size = entry_size(name)
        if size > left:
            counts.append(0)
            left = capacity
        counts[-1] += 1
        left -= size
    return counts


def pack_block(entries: list[Entry], block_size: int, seed: int | None) -> bytes:
    """Packs a block of entries.

    Args:
        entries: the entries, which must fit; may be empty.
        block_size: in bytes.
        seed: the seed of the inode's checksums, or None for no checksum.
    """
    capacity = block_capacity(block_size, has_tail=seed is not None)
    pack = _HEADER.pack
    parts: list[bytes] = []
    used = 0
    for name, inode, kind in entries[:-1]:
        length = len(name)
        size = 8 + (length + 3 & ~3)
        used += size
        parts += (pack(inode, size, length, kind), name, _PADDING[length & 3])
    name, inode, kind = entries[-1] if entries else (b"", 0, 0)
    parts += (pack(inode, capacity - used, len(name), kind), name)
    block = b"".join(parts).ljust(capacity, b"\0")
    return block if seed is None else block + _TAIL_START + crc32c(seed, block).to_bytes(4, "little")


def unused_entry(size: int) -> bytes:
    """Returns the header of an unused entry (inode 0) of `size` bytes."""
    return _HEADER.pack(0, size, 0, 0)


def entry_start(entry: Entry, size: int) -> bytes:
    """Returns the header and name of an entry of `size` bytes, without its padding."""
    return _HEADER.pack(entry.inode, size, len(entry.name), entry.type) + entry.name


class DamagedDirectoryError(Exception):
    """A block of a directory is invalid; the message describes the fault."""


def parse_block(block: bytes) -> Iterator[Entry]:
    """Yields the entries in use, without `.` and `..`, of a directory's block, which may be an index block.

    Raises:
        DamagedDirectoryError: an entry or a name is invalid.
    """
    at, end = 0, len(block)
    while at < end:
        if end - at < _HEADER.size:
            raise DamagedDirectoryError(f"directory entry at {at} runs over the end of its block")
        inode, size, length, kind = _HEADER.unpack_from(block, at)
        if size < entry_size(bytes(length)) or size % 4 or at + size > end:
            raise DamagedDirectoryError(f"directory entry at {at} has the impossible size {size}")
        if inode:
            name = block[at + 8 : at + 8 + length]
            if name not in (b".", b".."):
                if fault := name_fault(name):
                    raise DamagedDirectoryError(f"directory entry at {at}: {fault}")
                yield Entry(name, inode, kind)
        at += size


def checksum_is_right(block: bytes, seed: int) -> bool:
    """Returns whether the checksum at the end of a block of entries is correct; not for index blocks."""
    start = len(block) - _TAIL.size
    return block[start:-4] == _TAIL_START and int.from_bytes(block[-4:], "little") == crc32c(seed, block[:start])


def name_fault(name: bytes) -> str:
    """Describes why bytes are no valid name in a directory; returns an empty string if they are one."""
    if not name:
        return "name is empty"
    if len(name) > NAME_MAX:
        return f"name of {len(name)} bytes is longer than {NAME_MAX}"
    if name in (b".", b".."):
        return "name is reserved for a directory itself or its parent"
    if b"/" in name or b"\0" in name:
        return "name has a slash or a NUL"
    return ""


def dirent_type(mode: int) -> int:
    """Returns the file type of a directory entry for an inode's mode."""
    return DIRENT_TYPE[mode & 0o170000]
