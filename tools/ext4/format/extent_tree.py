"""Packs and parses extent trees ("Extent Tree" in Linux Documentation/filesystems/ext4)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tools.ext4.format.checksum import crc32c
from tools.ext4.format.inode import POINTER_SIZE

MAX_BLOCKS = 32768
"""Maximum number of blocks of an extent; a greater length on disk marks an unwritten extent."""

_MAGIC = 0xF30A
_HEADER = struct.Struct("<HHHHI")
_EXTENT = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIHH")
_ONE_EXTENT = struct.Struct("<HHHHIIHHI36x")
_TAIL = struct.Struct("<I")
_ENTRY_SIZE = 12
ROOT_ENTRIES = POINTER_SIZE // _ENTRY_SIZE - 1
"""Maximum number of extents in an inode itself, without a block for them."""

_MAX_DEPTH = 5

EMPTY_ROOT = _HEADER.pack(_MAGIC, 0, ROOT_ENTRIES, 0, 0).ljust(POINTER_SIZE, b"\0")
"""The root of the extent tree of a file without blocks."""


class Mapping(NamedTuple):
    """A run of blocks that are consecutive in the file and in the file system.

    Attributes:
        logical: number of the first block in the file.
        physical: number of the first block in the file system.
        length: number of blocks.
        is_written: False for an unwritten extent, which reads as zeros.
    """

    logical: int
    physical: int
    length: int
    is_written: bool = True


def _entries_per_block(block_size: int) -> int:
    return (block_size - _ENTRY_SIZE) // _ENTRY_SIZE


def split_mappings(mappings: list[Mapping]) -> list[Mapping]:
    """Divides mappings into pieces of at most `MAX_BLOCKS` blocks."""
    if all(mapping.length <= MAX_BLOCKS for mapping in mappings):
        return mappings
    return [
        Mapping(mapping.logical + done, mapping.physical + done, min(MAX_BLOCKS, mapping.length - done))
        for mapping in mappings
        for done in range(0, mapping.length, MAX_BLOCKS)
    ]


def tree_block_count(extents: int, block_size: int) -> int:
    """Returns how many blocks a tree of `extents` extents needs, besides the root in the inode."""
    total = 0
    while extents > ROOT_ENTRIES:
        extents = -(-extents // _entries_per_block(block_size))
        total += extents
    return total


def pack_single(physical: int, length: int) -> bytes:
    """Packs the root of a tree with one extent, which starts at logical block 0."""
    return _ONE_EXTENT.pack(_MAGIC, 1, ROOT_ENTRIES, 0, 0, 0, length, physical >> 32, physical & 0xFFFFFFFF)


def pack_root(mappings: list[Mapping]) -> bytes:
    """Packs the root of a tree of at most 4 extents, which needs no blocks."""
    return _pack_node(0, ROOT_ENTRIES, [_pack_extent(mapping) for mapping in mappings]).ljust(POINTER_SIZE, b"\0")


def pack_tree(
    mappings: list[Mapping], blocks: list[int], block_size: int, seed: int | None
) -> tuple[bytes, list[bytes]]:
    """Packs a tree.

    Args:
        mappings: the extents, in logical order, from `split_mappings`.
        blocks: the numbers of the tree's blocks, as many as `tree_block_count` returns.
        block_size: in bytes.
        seed: the seed of the inode's checksums, or None for no checksums.

    Returns:
        The root for i_block (60 bytes), and the content of each of `blocks`.
    """
    most = _entries_per_block(block_size)
    entries = [(mapping.logical, _pack_extent(mapping)) for mapping in mappings]
    contents: list[bytes] = []
    depth = 0
    while len(entries) > ROOT_ENTRIES:
        above: list[tuple[int, bytes]] = []
        for begin in range(0, len(entries), most):
            part = entries[begin : begin + most]
            node = _pack_node(depth, most, [entry for _, entry in part])
            tail = _TAIL.pack(crc32c(seed, node.ljust(_ENTRY_SIZE * (most + 1), b"\0"))) if seed is not None else b""
            above.append((part[0][0], _pack_index(part[0][0], blocks[len(contents)])))
            contents.append((node.ljust(_ENTRY_SIZE * (most + 1), b"\0") + tail).ljust(block_size, b"\0"))
        entries = above
        depth += 1
    root = _pack_node(depth, ROOT_ENTRIES, [entry for _, entry in entries])
    return root.ljust(POINTER_SIZE, b"\0"), contents


def _pack_node(depth: int, most: int, entries: list[bytes]) -> bytes:
    return _HEADER.pack(_MAGIC, len(entries), most, depth, 0) + b"".join(entries)


def _pack_extent(mapping: Mapping) -> bytes:
    return _EXTENT.pack(mapping.logical, mapping.length, mapping.physical >> 32, mapping.physical & 0xFFFFFFFF)


def _pack_index(logical: int, block: int) -> bytes:
    return _INDEX.pack(logical, block & 0xFFFFFFFF, block >> 32, 0)


class DamagedTreeError(Exception):
    """An extent tree is invalid; the message describes the fault."""


def walk_tree(root: bytes, read_block: Callable[[int], bytes], seed: int | None) -> Iterator[Mapping]:
    """Yields the extents of a tree read from disk, in logical order.

    It terminates on any input: the depth decreases at each level, only the root may be empty, and logical block numbers
    must increase.

    Args:
        root: the inode's i_block, 60 bytes.
        read_block: returns the content of a block; raises an error if it is outside of the file system.
        seed: the seed of the inode's checksums, or None without checksums.

    Raises:
        DamagedTreeError: the tree is invalid.
    """
    next_logical = 0
    depth = _parse_header(root)[1]
    if depth > _MAX_DEPTH:
        raise DamagedTreeError(f"extent tree of depth {depth}")
    stack: list[Iterator[bytes]] = [iter(_node_entries(root, depth))]
    depths = [depth]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            depths.pop()
            continue
        if depths[-1]:
            block = read_block(_parse_index(entry))
            _check_node(block, depths[-1] - 1, seed)
            depths.append(depths[-1] - 1)
            stack.append(iter(_node_entries(block, depths[-1])))
            continue
        mapping = _parse_extent(entry)
        if mapping.logical < next_logical or not mapping.length:
            raise DamagedTreeError(f"extent of block {mapping.logical} is out of order")
        next_logical = mapping.logical + mapping.length
        yield mapping


def _parse_header(node: bytes) -> tuple[int, int]:
    magic, count, most, depth, _ = _HEADER.unpack_from(node)
    if magic != _MAGIC or count > most or (most + 1) * _ENTRY_SIZE > len(node):
        raise DamagedTreeError("extent tree node with an invalid header")
    return count, depth


def _node_entries(node: bytes, depth: int) -> list[bytes]:
    count, found = _parse_header(node)
    if found != depth:
        raise DamagedTreeError(f"extent tree node of depth {found} instead of {depth}")
    return [node[at : at + _ENTRY_SIZE] for at in range(_ENTRY_SIZE, (count + 1) * _ENTRY_SIZE, _ENTRY_SIZE)]


def _check_node(block: bytes, depth: int, seed: int | None) -> None:
    if not _node_entries(block, depth):
        raise DamagedTreeError("empty extent tree node")
    if seed is None:
        return
    most: int = _HEADER.unpack_from(block)[2]
    end = (most + 1) * _ENTRY_SIZE
    if end + _TAIL.size > len(block) or _TAIL.unpack_from(block, end)[0] != crc32c(seed, block[:end]):
        raise DamagedTreeError("extent tree node with a wrong checksum")


def _parse_index(entry: bytes) -> int:
    _, low, high, _ = _INDEX.unpack(entry)
    return int(low | high << 32)


def _parse_extent(entry: bytes) -> Mapping:
    logical, length, high, low = _EXTENT.unpack(entry)
    is_written = length <= MAX_BLOCKS
    return Mapping(logical, low | high << 32, length if is_written else length - MAX_BLOCKS, is_written)
