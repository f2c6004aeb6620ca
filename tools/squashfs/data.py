"""Stores the contents of files ("3.4 File data" in Linux Documentation/filesystems/squashfs.rst).

Whole blocks of a file follow one another. The rest of it, which is smaller than a block, is packed with that of other
files into blocks of their own, the fragments. Blocks of zeros are holes. Files with the same content are stored once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.core.parallel import ordered_map
from tools.image.compression import Encoder
from tools.image.extents import Buffer, Image
from tools.image.rawfile import Progress, no_progress
from tools.image.spool import Spool
from tools.squashfs.format import FRAGMENT, RAW_BLOCK
from tools.squashfs.item import Item, Stored
from tools.tree.node import File


@dataclass(frozen=True, slots=True)
class _Unit:
    """A block to be compressed.

    Attributes:
        data: its content.
        stored: the file that it is from; None for a fragment.
        index: its number in the file.
    """

    data: bytes
    stored: Stored | None = None
    index: int = 0


class DataWriter:
    """Compresses the contents of files into a spool.

    Attributes:
        fragments: the table of fragments: an entry for each.
        size: number of bytes in the spool.
    """

    def __init__(self, spool: Spool, start: int, block_size: int, encode: Encoder) -> None:
        """Begins without contents.

        Args:
            spool: where blocks go.
            start: offset in the file system of the spool's first byte.
            block_size: size of a block in bytes.
            encode: compresses a block.
        """
        self.fragments = bytearray()
        self.size = 0
        self._spool = spool
        self._start = start
        self._block_size = block_size
        self._encode = encode
        self._ends = bytearray()
        self._fragments_begun = 0

    @property
    def fragment_count(self) -> int:
        """The number of fragments."""
        return len(self.fragments) // FRAGMENT.size

    def write(self, items: Sequence[Item], threads: int | None = None, progress: Progress = no_progress) -> None:
        """Stores the contents of all files among these items, in their order.

        Args:
            items: the inodes; sets `stored` of those of files with content.
            threads: how many blocks are compressed at once; what is written doesn't depend on it.
            progress: called with the number of bytes that were compressed since the last call.
        """
        for unit, packed in ordered_map(lambda unit: (unit, self._encode(unit.data)), self._units(items), threads):
            offset = self._start + self._spool.append(packed)
            self.size += len(packed)
            progress(len(unit.data))
            size = len(packed) | (0 if len(packed) < len(unit.data) else RAW_BLOCK)
            if unit.stored is None:
                self.fragments += FRAGMENT.pack(offset, size, 0)
            else:
                unit.stored.start = unit.stored.start or offset
                unit.stored.blocks.append(unit.index, size)

    def _units(self, items: Sequence[Item]) -> Iterator[_Unit]:
        """Yields the blocks of all files and the fragments, in the order in which they are stored."""
        sizes = Counter(item.node.content.size for item in items if isinstance(item.node, File))
        known: dict[bytes, Stored] = {}
        for item in items:
            if not isinstance(item.node, File) or not item.node.content.size:
                continue
            content, stored = item.node.content, Stored()
            if sizes[content.size] > 1:
                key = digest(content, self._block_size)
                if key in known:
                    item.stored = known[key]
                    continue
                known[key] = stored
            item.stored = stored
            yield from self._file(content, stored)
        if self._ends:
            yield _Unit(bytes(self._ends))

    def _file(self, content: Image, stored: Stored) -> Iterator[_Unit]:
        """Yields the blocks of a file, and a fragment if the file's rest doesn't fit in the one that is open."""
        size = self._block_size
        whole, rest = divmod(content.size, size)
        stored.blocks.count = whole
        stored.sparse = content.size
        end: Buffer = b""
        for index, data in data_blocks(content, size):
            stored.sparse -= len(data)
            if index < whole:
                yield _Unit(data, stored, index)
            else:
                end = data
        if rest and not end:
            stored.blocks.count += 1
        if not end:
            return
        if len(self._ends) + len(end) > size:
            yield _Unit(bytes(self._ends))
            self._ends.clear()
            self._fragments_begun += 1
        stored.fragment, stored.offset = self._fragments_begun, len(self._ends)
        self._ends += end


def data_blocks(content: Image, size: int) -> Iterator[tuple[int, bytes]]:
    """Yields the blocks of a content that are not zeros, with their numbers; reads no holes.

    Args:
        content: of a file.
        size: of a block in bytes; the last one may be smaller.
    """
    done = 0
    for extent in content.extents:
        for index in range(max(extent.offset // size, done), -(-extent.end // size)):
            data = content.read(index * size, min(size, content.size - index * size))
            if data.count(0) != len(data):
                yield index, data
            done = index + 1


def digest(content: Image, size: int) -> bytes:
    """Returns the same bytes for contents that are the same, wherever they have holes."""
    whole = hashlib.sha256(content.size.to_bytes(8, "little"))
    for index, data in data_blocks(content, size):
        whole.update(index.to_bytes(8, "little"))
        whole.update(data)
    return whole.digest()
