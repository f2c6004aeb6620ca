"""Packs and parses the blocks of directories ("Directories" in Linux Documentation/filesystems/erofs.rst).

A block has an array of entries of 12 bytes, and then their names. Names ascend by their bytes over all blocks, `.` and
`..` among them, so that the kernel finds a name by binary search.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.erofs.format import BLOCK_SIZE
from tools.tree.numbering import name_fault

_ENTRY = struct.Struct("<QHBx")


class Entry(NamedTuple):
    """A directory entry: name, number of the inode, and file type (a value of `FILE_TYPES`)."""

    name: bytes
    nid: int
    type: int


def split_names(names: Sequence[bytes]) -> list[int]:
    """Divides the sorted names of a directory into blocks, as many as fit in each.

    Returns:
        The number of names in each block.
    """
    counts = [0]
    left = BLOCK_SIZE
    for name in names:
        need = _ENTRY.size + len(name)
        if need > left:
            counts.append(0)
            left = BLOCK_SIZE
        counts[-1] += 1
        left -= need
    return counts


def directory_size(names: Sequence[bytes]) -> int:
    """Returns the size in bytes of a directory with these sorted names."""
    counts = split_names(names)
    last = names[len(names) - counts[-1] :]
    return (len(counts) - 1) * BLOCK_SIZE + sum(_ENTRY.size + len(name) for name in last)


def pack_directory(entries: Sequence[Entry]) -> bytes:
    """Returns the content of a directory with these entries, which are sorted by their names."""
    blocks = []
    begin = 0
    for count in split_names([entry.name for entry in entries]):
        part = entries[begin : begin + count]
        begin += count
        at = _ENTRY.size * count
        heads = []
        for entry in part:
            heads.append(_ENTRY.pack(entry.nid, at, entry.type))
            at += len(entry.name)
        blocks.append(b"".join(heads) + b"".join(entry.name for entry in part))
    last = blocks.pop()
    return b"".join(block.ljust(BLOCK_SIZE, b"\0") for block in blocks) + last


def parse_block(block: bytes) -> Iterator[Entry]:
    """Yields the entries of a directory's block, `.` and `..` among them.

    Raises:
        ValueError: an entry is invalid.
    """
    if len(block) < _ENTRY.size:
        raise ValueError("a block of the directory is too small for an entry")
    first = _ENTRY.unpack_from(block)[1]
    if first < _ENTRY.size or first % _ENTRY.size or first >= len(block):
        raise ValueError(f"the names of a block of the directory begin at the impossible offset {first}")
    heads = [_ENTRY.unpack_from(block, at) for at in range(0, first, _ENTRY.size)]
    ends = [begin for _, begin, _ in heads[1:]] + [len(block)]
    for (nid, begin, kind), end in zip(heads, ends, strict=True):
        if not first <= begin < end <= len(block):
            raise ValueError(f"a name in the directory has the impossible place {begin} to {end}")
        name = block[begin:end]
        if end == len(block):
            name = name.partition(b"\0")[0]
        if fault := name_fault(name):
            raise ValueError(f"the directory has an entry whose {fault}")
        yield Entry(name, nid, kind)
