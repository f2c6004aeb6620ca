"""Packs and parses the listings of directories ("3.3 Directories" in Linux Documentation/filesystems/squashfs.rst).

A listing is a sequence of groups: a header with what its entries share, namely the block of their inodes and a number
from which theirs differ little, and up to 256 entries. Names ascend by their bytes. Where a listing goes on in another
block of metadata, a group begins, and the directory's index has an entry for it, so that a name is found without the
blocks before it, except in a listing of more than 65,536 blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tools.squashfs.format import EXTENDED, InodeType
from tools.squashfs.inode import Cursor, pack_index_entry
from tools.squashfs.metadata import METADATA_SIZE, MetadataWriter
from tools.tree.node import NAME_MAX
from tools.tree.numbering import name_fault, reserved_fault

_HEADER = struct.Struct("<III")
_ENTRY = struct.Struct("<HhHH")
_MOST_ENTRIES = 256
_MOST_INDEXED = 0xFFFF
"""Entries of an index: the inode has 16 bits for their number. From the last one on, a lookup reads block by block."""

_DELTAS = range(-(1 << 15), 1 << 15)


class Entry(NamedTuple):
    """A directory entry: name, reference to the inode, the inode's number, and type."""

    name: bytes
    reference: int
    number: int
    type: InodeType


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing that was written.

    Attributes:
        reference: to its first byte.
        size: in bytes.
        index: the packed index.
        index_count: number of entries in the index.
    """

    reference: int
    size: int
    index: bytes
    index_count: int


def write_listing(entries: Sequence[Entry], table: MetadataWriter) -> Listing:
    """Appends the listing of a directory to the directory table; the entries are sorted by their names."""
    reference = table.reference
    block = reference >> 16
    index: list[bytes] = []
    size = at = 0
    while at < len(entries):
        here = table.reference
        if here >> 16 != block:
            block = here >> 16
            if len(index) < _MOST_INDEXED:
                index.append(pack_index_entry(size, block, entries[at].name))
        group = _group(entries, at, METADATA_SIZE - (here & 0xFFFF))
        packed = _pack_group(group)
        table.append(packed)
        size += len(packed)
        at += len(group)
    return Listing(reference, size, b"".join(index), len(index))


def _group(entries: Sequence[Entry], first: int, room: int) -> Sequence[Entry]:
    """Returns the entries, from the first on, that can share a header, of which each begins within so many bytes."""
    head = entries[first]
    used = _HEADER.size
    end = first
    for entry in entries[first : first + _MOST_ENTRIES]:
        same = entry.reference >> 16 == head.reference >> 16 and entry.number - head.number in _DELTAS
        if not same or (used >= room and end > first):
            break
        used += _ENTRY.size + len(entry.name)
        end += 1
    return entries[first:end]


def _pack_group(group: Sequence[Entry]) -> bytes:
    head = group[0]
    parts = [_HEADER.pack(len(group) - 1, head.reference >> 16, head.number)]
    for entry in group:
        delta = entry.number - head.number
        parts.append(_ENTRY.pack(entry.reference & 0xFFFF, delta, entry.type, len(entry.name) - 1) + entry.name)
    return b"".join(parts)


def parse_listing(cursor: Cursor, size: int) -> Iterator[Entry]:
    """Yields the entries of a listing.

    Args:
        cursor: before the listing.
        size: of the listing in bytes.

    Raises:
        ValueError: an entry is invalid.
    """
    left = size
    last = b""
    while left:
        left -= _HEADER.size
        if left < 0:
            raise ValueError("the listing ends within a header")
        count, block, number = _HEADER.unpack(cursor.take(_HEADER.size))
        if count >= _MOST_ENTRIES:
            raise ValueError(f"a header of the listing has {count + 1} entries, more than {_MOST_ENTRIES}")
        for _ in range(count + 1):
            offset, delta, kind, length = _ENTRY.unpack(cursor.take(_ENTRY.size))
            left -= _ENTRY.size + length + 1
            if left < 0 or length >= NAME_MAX:
                raise ValueError("a name in the listing is too long")
            name = cursor.take(length + 1)
            if fault := reserved_fault(name) or name_fault(name):
                raise ValueError(f"the listing has an entry whose {fault}")
            if name <= last:
                raise ValueError("the names of the listing do not ascend")
            if not 0 < kind <= EXTENDED:
                raise ValueError(f"the listing has an entry of the unknown type {kind}")
            last = name
            yield Entry(name, block << 16 | offset, number + delta, InodeType(kind))
