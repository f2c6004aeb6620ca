"""Packs indexed directories ("Hash Tree Directories" in Linux Documentation/filesystems/ext4).

The index is a tree of one or two levels. Its leaves are blocks of entries, sorted by the hash of their names; its root
is the directory's first block.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from tools.ext4.format.checksum import crc32c
from tools.ext4.format.directory import (
    DIRECTORY_TYPE,
    Entry,
    block_capacity,
    entry_size,
    entry_start,
    fill_blocks,
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


class _Leaf(NamedTuple):
    """An entry of the index (struct dx_entry): lowest hash in a block, and the block's number in the directory."""

    hash: int
    block: int


def pack_directory(
    entries: list[Entry], inode: int, parent: int, *, block_size: int, hash_seed: uuid.UUID, seed: int | None
) -> tuple[bytes, bool]:
    """Packs a directory; returns the content of all its blocks, and whether it is indexed.

    A directory of one block gets no index, nor does one with too many entries for two levels (millions with blocks of
    4 KiB); drivers search it linearly.

    Args:
        entries: the entries without `.` and `..`, with unique names; without an index they keep their order.
        inode: the directory's inode number.
        parent: its parent's inode number.
        block_size: in bytes.
        hash_seed: the file system's hash seed.
        seed: the seed of the inode's checksums, or None for no checksums.
    """
    dots = [Entry(b".", inode, DIRECTORY_TYPE), Entry(b"..", parent, DIRECTORY_TYPE)]
    capacity = block_capacity(block_size, has_tail=seed is not None)
    if fits_in_block((entry[0] for entry in entries), block_size, has_tail=seed is not None):
        return pack_block([*dots, *entries], block_size, seed), False
    leaves, blocks = _leaves(entries, capacity, hash_seed)
    index = _Index(dots, block_size, seed).pack(leaves)
    if index is None:
        blocks = fill_blocks([*dots, *entries], capacity)
        return b"".join(pack_block(block, block_size, seed) for block in blocks), False
    return index + b"".join(pack_block(block, block_size, seed) for block in blocks), True


def fits_in_block(names: Iterable[bytes], block_size: int, *, has_tail: bool) -> bool:
    """Returns whether one block holds the entries of a directory with the given names, besides `.` and `..`.

    Args:
        names: the names.
        block_size: in bytes.
        has_tail: whether blocks end with a checksum.
    """
    dots = entry_size(b".") + entry_size(b"..")
    return sum(map(entry_size, names)) + dots <= block_capacity(block_size, has_tail=has_tail)


def _leaves(entries: list[Entry], capacity: int, hash_seed: uuid.UUID) -> tuple[list[int], list[list[Entry]]]:
    """Divides entries into blocks, sorted by hash; returns for each block its hash in the index, and the blocks."""
    hashes = hash_names([entry[0] for entry in entries], hash_seed)
    ordered = sorted(zip(hashes, entries, strict=True))
    blocks = fill_blocks((entry for _, entry in ordered), capacity)
    leaves: list[int] = []
    at = 0
    for block in blocks:
        first = ordered[at][0][0]
        is_continued = at > 0 and ordered[at - 1][0][0] == first
        leaves.append(first | _COLLISION if is_continued else first)
        at += len(block)
    return leaves, blocks


class _Index:
    """Packs the index blocks of one directory."""

    def __init__(self, dots: list[Entry], block_size: int, seed: int | None) -> None:
        self.dots = dots
        self.block_size = block_size
        self.seed = seed
        tail = 0 if seed is None else 1
        self.root_most = (block_size - _ROOT_START) // _ENTRY_SIZE - tail
        self.node_most = (block_size - _NODE_START) // _ENTRY_SIZE - tail

    def pack(self, leaves: list[int]) -> bytes | None:
        """Packs the index over leaves with these lowest hashes; returns None if two levels don't suffice."""
        if len(leaves) <= self.root_most:
            return self._root(0, [_Leaf(value, 1 + number) for number, value in enumerate(leaves)])
        count = -(-len(leaves) // self.node_most)
        if count > self.root_most:
            return None
        bottom = [_Leaf(value, 1 + count + number) for number, value in enumerate(leaves)]
        nodes = [bottom[begin : begin + self.node_most] for begin in range(0, len(bottom), self.node_most)]
        root = self._root(1, [_Leaf(node[0].hash, 1 + number) for number, node in enumerate(nodes)])
        start = unused_entry(self.block_size)
        return root + b"".join(self._block(start, node, self.node_most) for node in nodes)

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
