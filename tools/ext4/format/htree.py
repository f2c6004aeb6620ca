"""Packs indexed directories ("Hash Tree Directories" in Linux Documentation/filesystems/ext4).

The index is a tree of one or two levels. Its leaves are blocks of entries, sorted by the hash of their names; its root
is the directory's first block.
"""

from __future__ import annotations

import struct
import uuid
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import NamedTuple

from tools.ext4.format.checksum import crc32c
from tools.ext4.format.directory import (
    DIRECTORY_TYPE,
    Entry,
    block_capacity,
    divide,
    entry_size,
    entry_start,
    pack_block,
    unused_entry,
)
from tools.ext4.format.directory_hash import HALF_MD4, hash_names

_INFO = struct.Struct("<IBBBB")
_LIMIT = struct.Struct("<HH")
_INDEX_ENTRY = struct.Struct("<II")
_TAIL = struct.Struct("<II")
_ENTRY_SIZE = 8
_ROOT_START = 32
_NODE_START = 8
_COLLISION = 1
_DOTS = (b".", b"..")


class _Leaf(NamedTuple):
    """An entry of the index (struct dx_entry): lowest hash in a block, and the block's number in the directory."""

    hash: int
    block: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How the entries of a directory are divided into blocks.

    Attributes:
        blocks: number of blocks of the directory.
        counts: number of entries in each block of entries; without an index `.` and `..` are the first ones.
        order: positions of the entries in the order in which the blocks of an indexed directory have them.
        hashes: the index: the lowest hash in each block of entries. Empty if the directory is not indexed.
    """

    blocks: int
    counts: Sequence[int]
    order: Sequence[int] = ()
    hashes: Sequence[int] = ()


def lay_out(names: Sequence[bytes], *, block_size: int, hash_seed: uuid.UUID, has_tail: bool) -> Layout:
    """Returns the layout of a directory.

    A directory of one block gets no index, nor does one with too many entries for two levels (millions with blocks of
    4 KiB); drivers search it linearly.

    Args:
        names: the names without `.` and `..`, which are unique; without an index they keep their order.
        block_size: in bytes.
        hash_seed: the file system's hash seed.
        has_tail: whether blocks end with checksums.
    """
    capacity = block_capacity(block_size, has_tail=has_tail)
    if sum(map(entry_size, names)) + sum(map(entry_size, _DOTS)) <= capacity:
        return Layout(1, (len(names) + len(_DOTS),))
    found = hash_names(names, hash_seed)
    order = array("I", sorted(range(len(names)), key=found.__getitem__))
    counts = array("I", divide((names[position] for position in order), capacity))
    index_blocks = _index_blocks(len(counts), block_size, has_tail=has_tail)
    if index_blocks is None:
        counts = array("I", divide(chain(_DOTS, names), capacity))
        return Layout(len(counts), counts)
    return Layout(index_blocks + len(counts), counts, order, _lowest_hashes(found, order, counts))


def _lowest_hashes(found: Sequence[int], order: Sequence[int], counts: Iterable[int]) -> array[int]:
    """Returns the major hash with which each block begins, with a bit set if the block before it ends with the same."""
    lowest = array("I")
    at = 0
    for count in counts:
        first = found[order[at]] >> 32
        is_continued = at > 0 and found[order[at - 1]] >> 32 == first
        lowest.append(first | _COLLISION if is_continued else first)
        at += count
    return lowest


def pack_directory(
    layout: Layout, entries: Sequence[Entry], inode: int, parent: int, *, block_size: int, seed: int | None
) -> bytes:
    """Packs all blocks of a directory.

    Args:
        layout: from `lay_out`, for the names of the entries.
        entries: the entries without `.` and `..`, in the order of those names.
        inode: the directory's inode number.
        parent: its parent's inode number.
        block_size: in bytes.
        seed: the seed of the inode's checksums, or None for no checksums.
    """
    dots = [Entry(name, number, DIRECTORY_TYPE) for name, number in zip(_DOTS, (inode, parent), strict=True)]
    index = b""
    if layout.hashes:
        index = _Index(dots, block_size, seed).pack(layout.hashes)
        ordered = [entries[position] for position in layout.order]
    else:
        ordered = [*dots, *entries]
    ends = accumulate(layout.counts)
    return index + b"".join(
        pack_block(ordered[end - count : end], block_size, seed) for count, end in zip(layout.counts, ends, strict=True)
    )


def _most_entries(block_size: int, *, has_tail: bool) -> tuple[int, int]:
    """Returns how many entries the first block of an index and its other blocks have room for."""
    tail = 1 if has_tail else 0
    return (block_size - _ROOT_START) // _ENTRY_SIZE - tail, (block_size - _NODE_START) // _ENTRY_SIZE - tail


def _index_blocks(leaves: int, block_size: int, *, has_tail: bool) -> int | None:
    """Returns how many blocks the index of so many blocks of entries has; None if two levels don't suffice."""
    root_most, node_most = _most_entries(block_size, has_tail=has_tail)
    if leaves <= root_most:
        return 1
    nodes = -(-leaves // node_most)
    return 1 + nodes if nodes <= root_most else None


class _Index:
    """Packs the index blocks of one directory."""

    def __init__(self, dots: list[Entry], block_size: int, seed: int | None) -> None:
        self.dots = dots
        self.block_size = block_size
        self.seed = seed
        self.root_most, self.node_most = _most_entries(block_size, has_tail=seed is not None)

    def pack(self, hashes: Sequence[int]) -> bytes:
        """Packs the index of blocks with these lowest hashes."""
        nodes = _index_blocks(len(hashes), self.block_size, has_tail=self.seed is not None)
        assert nodes
        bottom = [_Leaf(value, nodes + number) for number, value in enumerate(hashes)]
        if nodes == 1:
            return self._root(0, bottom)
        parts = [bottom[begin : begin + self.node_most] for begin in range(0, len(bottom), self.node_most)]
        root = self._root(1, [_Leaf(part[0].hash, 1 + number) for number, part in enumerate(parts)])
        start = unused_entry(self.block_size)
        return root + b"".join(self._block(start, part, self.node_most) for part in parts)

    def _root(self, levels: int, entries: list[_Leaf]) -> bytes:
        own_size, parent_size = (entry_size(dot.name) for dot in self.dots)
        own = entry_start(self.dots[0], own_size).ljust(own_size, b"\0")
        parent = entry_start(self.dots[1], self.block_size - own_size).ljust(parent_size, b"\0")
        return self._block(own + parent + _INFO.pack(0, HALF_MD4, _INFO.size, levels, 0), entries, self.root_most)

    def _block(self, start: bytes, entries: list[_Leaf], most: int) -> bytes:
        """Packs an index block; the limit and count take the place of the first hash, which is implicitly 0."""
        head = start + _LIMIT.pack(most, len(entries)) + entries[0].block.to_bytes(4, "little")
        used = head + b"".join(_INDEX_ENTRY.pack(*entry) for entry in entries[1:])
        if self.seed is None:
            return used.ljust(self.block_size, b"\0")
        # The checksum covers the entries in use and the tail, with 0 for its own field.
        checksum = crc32c(self.seed, used + bytes(_TAIL.size))
        return used.ljust(len(start) + most * _ENTRY_SIZE, b"\0") + _TAIL.pack(0, checksum)


def index_checksum_is_right(block: bytes, seed: int, *, is_root: bool) -> bool | None:
    """Returns whether the checksum of an index block is correct; None if it is a block of entries.

    Args:
        block: a block of an indexed directory.
        seed: the seed of the inode's checksums.
        is_root: whether it is the first block. Other index blocks are recognised by their one unused entry.
    """
    if not is_root and not block.startswith(unused_entry(len(block))):
        return None
    start = _ROOT_START if is_root else _NODE_START
    most, count = _LIMIT.unpack_from(block, start)
    tail = start + most * _ENTRY_SIZE
    if count > most or tail + _TAIL.size > len(block):
        return False
    reserved, found = _TAIL.unpack_from(block, tail)
    return bool(found == crc32c(seed, block[: start + count * _ENTRY_SIZE] + _TAIL.pack(reserved, 0)))
