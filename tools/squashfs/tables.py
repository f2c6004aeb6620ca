"""Reads blocks of metadata, and tables of them; see `tools.squashfs.metadata`.

Structures of a damaged image may overlap, so that few bytes stand for many. Hence all inodes together have no more
bytes than their blocks, nor have all listings; and what is taken of all metadata is bounded by the amount of data in
the image. A hostile image may still make objects of some hundred bytes in memory for each byte that is stored.
"""

from __future__ import annotations

import struct

from tools.image.extents import Image
from tools.squashfs.decompression import Decoder
from tools.squashfs.metadata import HEADER, METADATA_SIZE, RAW_METADATA

INDEX = struct.Struct("<Q")
"""An entry in the index of a table: the offset of a block."""

_MOST_KEPT = 64
_RATIO = 64
_SPARE = 1 << 20


class Allowance:
    """How many bytes of metadata may still be taken: 64 for each byte of data in the image, and 1 MiB.

    Inodes and extended attributes take more than their bytes, as they become objects.
    Lists of blocks don't count: those of files with large holes are many times smaller when they are compressed.
    """

    def __init__(self, image: Image) -> None:
        """Allows what an image may need."""
        self._left = _RATIO * image.data_size + _SPARE

    def take(self, length: int) -> None:
        """Takes some bytes.

        Raises:
            ValueError: there are not so many left.
        """
        self._left -= length
        if self._left < 0:
            raise ValueError("there is more metadata than an image of this size can have")


class MetadataArea:
    """A range of a file system that holds blocks of metadata."""

    def __init__(
        self, image: Image, start: int, end: int, decode: Decoder, allowance: Allowance, *, is_read_once: bool = False
    ) -> None:
        """Reads no content yet.

        Args:
            image: the file system.
            start: offset of the first block in bytes; references count from it.
            end: offset of the end of the last block.
            decode: decompresses a block.
            allowance: of the file system.
            is_read_once: whether each byte belongs to one structure.
        """
        self.allowance = allowance
        self._image = image
        self._start = start
        self._end = end
        self._decode = decode
        self._kept: dict[int, tuple[bytes, int]] = {}
        self._left = self._most_content() if is_read_once else None

    def cursor(self, reference: int) -> TableCursor:
        """Returns a cursor before what a reference leads to."""
        return TableCursor(self, self._start + (reference >> 16), reference & 0xFFFF)

    def count(self, length: int) -> None:
        """Counts bytes that were read.

        Raises:
            ValueError: more were read than there are, where each is to be read once.
        """
        if self._left is not None:
            self._left -= length
            if self._left < 0:
                raise ValueError(f"structures in the metadata from byte {self._start} on overlap")

    def _most_content(self) -> int:
        """Returns the most bytes that the content of all blocks can have, by their sizes."""
        offset, most = self._start, 0
        while offset < self._end:
            size, is_raw = self._size(offset)
            most += size if is_raw else METADATA_SIZE
            offset += HEADER.size + size
        return most

    def read(self, offset: int) -> tuple[bytes, int]:
        """Returns the content of the block at an offset, and the offset of the next one.

        Raises:
            ValueError: there is no such block.
        """
        if offset not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[offset] = self._read(offset)
        return self._kept[offset]

    def _read(self, offset: int) -> tuple[bytes, int]:
        size, is_raw = self._size(offset)
        begin = offset + HEADER.size
        stored = self._image.read(begin, size)
        content = stored if is_raw else self._decode(stored, METADATA_SIZE)
        if not content:
            raise ValueError(f"the block of metadata at byte {offset} is empty")
        return content, begin + size

    def _size(self, offset: int) -> tuple[int, bool]:
        """Returns the stored size of the block at an offset, and whether it isn't compressed."""
        if not self._start <= offset <= self._end - HEADER.size:
            raise ValueError(f"there is no block of metadata at byte {offset}")
        (word,) = HEADER.unpack(self._image.read(offset, HEADER.size))
        size = word & ~RAW_METADATA
        if not 0 < size <= METADATA_SIZE or offset + HEADER.size + size > self._end:
            raise ValueError(f"the block of metadata at byte {offset} has the impossible size {size}")
        return size, bool(word & RAW_METADATA)


class TableCursor:
    """A place in metadata, from which it is read on."""

    def __init__(self, area: MetadataArea, offset: int, inside: int) -> None:
        """Stands before a byte.

        Args:
            area: the blocks.
            offset: of the block in the file system.
            inside: offset in the block's content.
        """
        self._area = area
        self._offset = offset
        self._inside = inside

    def take(self, length: int) -> bytes:
        """Returns the next bytes.

        Raises:
            ValueError: there are not so many, or too many were taken before.
        """
        self._area.allowance.take(length)
        return self.take_list(length)

    def take_list(self, length: int) -> bytes:
        """Returns the next bytes, without an allowance for them.

        Raises:
            ValueError: there are not so many.
        """
        taken = bytearray()
        while len(taken) < length:
            content, behind = self._area.read(self._offset)
            if self._inside > len(content):
                raise ValueError(f"the block of metadata at byte {self._offset} has no byte {self._inside}")
            part = content[self._inside : self._inside + length - len(taken)]
            taken += part
            self._inside += len(part)
            if len(taken) < length:
                self._offset, self._inside = behind, 0
        self._area.count(length)
        return bytes(taken)


def read_table(image: Image, index: int, size: int, decode: Decoder, allowance: Allowance) -> bytes:
    """Returns the content of a table.

    Args:
        image: the file system.
        index: offset of the table's index in bytes.
        size: of the content in bytes.
        decode: decompresses a block.
        allowance: of the file system.

    Raises:
        ValueError: the table is damaged.
    """
    allowance.take(size)
    count = -(-size // METADATA_SIZE)
    if index + count * INDEX.size > image.size:
        raise ValueError(f"the index of a table at byte {index} is outside of the file system")
    area = MetadataArea(image, 0, index, decode, allowance)
    content = bytearray()
    for (offset,) in INDEX.iter_unpack(image.read(index, count * INDEX.size)):
        content += area.read(offset)[0]
    if len(content) != size:
        raise ValueError(f"the table with the index at byte {index} has {len(content)} bytes, not {size}")
    return bytes(content)
