"""Packs and parses inodes ("3.2 Inodes" in Linux Documentation/filesystems/squashfs.rst).

Each type has a basic form and an extended one with room for larger numbers and for extended attributes. The latter is
written only where it is needed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Protocol

from tools.squashfs.block_list import BlockList, parse_blocks
from tools.squashfs.format import EXTENDED, NO_FRAGMENT, NO_XATTRS, InodeType

_BASE = struct.Struct("<HHHHII")
_FILE = struct.Struct("<IIII")
_EXTENDED_FILE = struct.Struct("<QQQIIII")
_DIRECTORY = struct.Struct("<IIHHI")
_EXTENDED_DIRECTORY = struct.Struct("<IIIIHHI")
_DIRECTORY_INDEX = struct.Struct("<III")
_PAIR = struct.Struct("<II")
_WORD = struct.Struct("<I")
_MOST_SHORT = 0xFFFF
_MOST_WORD = 0xFFFFFFFF
_DOTS = 3
"""A directory's size counts `.` and `..`, which are not stored, as 3 bytes."""

_MAX_TARGET = 0xFFFF


class Cursor(Protocol):
    """Reads metadata from one place on."""

    def take(self, length: int) -> bytes:
        """Returns the next bytes; raises a `ValueError` if there are not so many."""

    def take_list(self, length: int) -> bytes:
        """Returns the next bytes, as `take` does, which are a list of blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """What inodes of all types have; a FIFO or a socket has nothing else.

    Attributes:
        type: of the file.
        permissions: of the mode.
        uid: index of the user ID in the table of IDs.
        gid: index of the group ID there.
        mtime: modification time in seconds since the epoch.
        number: its number, 1 to the number of inodes.
        links: link count.
        xattrs: index of its extended attributes, or `NO_XATTRS`.
    """

    type: InodeType
    permissions: int
    uid: int
    gid: int
    mtime: int
    number: int
    links: int = 1
    xattrs: int = NO_XATTRS

    @property
    def is_extended(self) -> bool:
        """Whether the inode has to be an extended one."""
        return self.xattrs != NO_XATTRS

    def pack(self) -> bytes:
        """Returns the inode as it is stored."""
        kind = self.type + EXTENDED * self.is_extended
        return _BASE.pack(kind, self.permissions, self.uid, self.gid, self.mtime, self.number) + self.pack_rest()

    def pack_rest(self) -> bytes:
        """Returns what follows the fields that all types have."""
        return _WORD.pack(self.links) + self._pack_xattrs()

    def _pack_xattrs(self) -> bytes:
        return _WORD.pack(self.xattrs) if self.is_extended else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInode(Inode):
    """A regular file.

    Attributes:
        start: offset in bytes of its first block.
        size: in bytes.
        sparse: number of bytes in blocks that are holes.
        fragment: number of the block with its end, or `NO_FRAGMENT`.
        offset: of the end in that block, in bytes.
        blocks: list of its whole blocks.
    """

    start: int
    size: int
    sparse: int = 0
    fragment: int = NO_FRAGMENT
    offset: int = 0
    blocks: BlockList = field(default_factory=BlockList)

    @property
    def is_extended(self) -> bool:
        large = max(self.start, self.size) > _MOST_WORD
        return self.xattrs != NO_XATTRS or self.links > 1 or self.sparse > 0 or large

    def pack_rest(self) -> bytes:
        if not self.is_extended:
            return _FILE.pack(self.start, self.fragment, self.offset, self.size) + self.blocks.pack()
        words = (self.links, self.fragment, self.offset, self.xattrs)
        return _EXTENDED_FILE.pack(self.start, self.size, self.sparse, *words) + self.blocks.pack()


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryInode(Inode):
    """A directory.

    Attributes:
        start: of the block of its listing, in the directory table.
        offset: of the listing in that block.
        size: of the listing in bytes.
        parent: number of the inode of the directory that it is in.
        index: the packed index of its listing.
        index_count: number of entries in it.
    """

    start: int
    offset: int
    size: int
    parent: int
    index: bytes = b""
    index_count: int = 0

    @property
    def is_extended(self) -> bool:
        return self.xattrs != NO_XATTRS or self.index_count > 0 or self.size + _DOTS > _MOST_SHORT

    def pack_rest(self) -> bytes:
        size = self.size + _DOTS
        if not self.is_extended:
            return _DIRECTORY.pack(self.start, self.links, size, self.offset, self.parent)
        words = (self.links, size, self.start, self.parent)
        return _EXTENDED_DIRECTORY.pack(*words, self.index_count, self.offset, self.xattrs) + self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class SymlinkInode(Inode):
    """A symbolic link, with its target."""

    target: bytes

    def pack_rest(self) -> bytes:
        return _PAIR.pack(self.links, len(self.target)) + self.target + self._pack_xattrs()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInode(Inode):
    """A device; its number is as Linux encodes it in 32 bits."""

    device: int

    def pack_rest(self) -> bytes:
        return _PAIR.pack(self.links, self.device) + self._pack_xattrs()


def parse_inode(cursor: Cursor, block_size: int) -> Inode:
    """Returns the inode that a cursor stands before.

    Args:
        cursor: in the inode table.
        block_size: size of a block of data in bytes.

    Raises:
        ValueError: it is no inode, or ends after the table.
    """
    kind, permissions, uid, gid, mtime, number = _BASE.unpack(cursor.take(_BASE.size))
    if not 0 < kind <= 2 * EXTENDED:
        raise ValueError(f"its type {kind} is unknown")
    is_extended = kind > EXTENDED
    base = Inode(
        type=InodeType(kind - EXTENDED * is_extended),
        permissions=permissions & 0o7777,
        uid=uid,
        gid=gid,
        mtime=mtime,
        number=number,
    )
    match base.type:
        case InodeType.DIRECTORY:
            return _parse_directory(cursor, base, is_extended=is_extended)
        case InodeType.FILE:
            return _parse_file(cursor, base, block_size, is_extended=is_extended)
        case InodeType.SYMLINK:
            return _parse_symlink(cursor, base, is_extended=is_extended)
        case InodeType.BLOCK_DEVICE | InodeType.CHARACTER_DEVICE:
            links, device = _PAIR.unpack(cursor.take(_PAIR.size))
            return DeviceInode(**_common(base, links, _take_xattrs(cursor, is_extended=is_extended)), device=device)
    links = _word(cursor)
    return Inode(**_common(base, links, _take_xattrs(cursor, is_extended=is_extended)))


def _common(base: Inode, links: int, xattrs: int) -> dict[str, Any]:
    """Returns the fields of a base as arguments, with a link count and extended attributes."""
    fields = {name: getattr(base, name) for name in ("type", "permissions", "uid", "gid", "mtime", "number")}
    return fields | {"links": links, "xattrs": xattrs}


def _parse_directory(cursor: Cursor, base: Inode, *, is_extended: bool) -> DirectoryInode:
    xattrs = NO_XATTRS
    if is_extended:
        fields = _EXTENDED_DIRECTORY.unpack(cursor.take(_EXTENDED_DIRECTORY.size))
        links, size, start, parent, _, offset, xattrs = fields
    else:
        start, links, size, offset, parent = _DIRECTORY.unpack(cursor.take(_DIRECTORY.size))
    if size < _DOTS:
        raise ValueError(f"the directory has the impossible size {size}")
    return DirectoryInode(**_common(base, links, xattrs), start=start, offset=offset, size=size - _DOTS, parent=parent)


def _parse_file(cursor: Cursor, base: Inode, block_size: int, *, is_extended: bool) -> FileInode:
    links, xattrs, sparse = 1, NO_XATTRS, 0
    if is_extended:
        fields = _EXTENDED_FILE.unpack(cursor.take(_EXTENDED_FILE.size))
        start, size, sparse, links, fragment, offset, xattrs = fields
    else:
        start, fragment, offset, size = _FILE.unpack(cursor.take(_FILE.size))
    count = size // block_size if fragment != NO_FRAGMENT else -(-size // block_size)
    blocks = parse_blocks(count, cursor.take_list)
    return FileInode(
        **_common(base, links, xattrs),
        start=start,
        size=size,
        sparse=sparse,
        fragment=fragment,
        offset=offset,
        blocks=blocks,
    )


def _parse_symlink(cursor: Cursor, base: Inode, *, is_extended: bool) -> SymlinkInode:
    links, size = _PAIR.unpack(cursor.take(_PAIR.size))
    if not 0 < size <= _MAX_TARGET:
        raise ValueError(f"the symbolic link has the impossible size {size}")
    target = cursor.take(size)
    return SymlinkInode(**_common(base, links, _take_xattrs(cursor, is_extended=is_extended)), target=target)


def _take_xattrs(cursor: Cursor, *, is_extended: bool) -> int:
    return _word(cursor) if is_extended else NO_XATTRS


def _word(cursor: Cursor) -> int:
    (word,) = _WORD.unpack(cursor.take(_WORD.size))
    return int(word)


def pack_index_entry(offset: int, block: int, name: bytes) -> bytes:
    """Returns an entry of a directory's index (squashfs_dir_index).

    Args:
        offset: of a header in the listing, in bytes.
        block: start of the block with the header, in the directory table.
        name: the first one after the header.
    """
    return _DIRECTORY_INDEX.pack(offset, block, len(name) - 1) + name
