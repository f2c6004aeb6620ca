"""Reads the stored contents of files: sources of extents that decompress a block when its content is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

from tools.core.errors import UserError
from tools.image.extents import Image, Source
from tools.squashfs.decompression import Decoder
from tools.squashfs.format import RAW_BLOCK

_MOST_KEPT = 8


class BlockReader:
    """Reads blocks of data, and keeps the last ones: many small files are in one.

    Attributes:
        block_size: size of a block in bytes.
    """

    def __init__(self, image: Image, block_size: int, decode: Decoder, damage: Callable[[str], UserError]) -> None:
        """Keeps nothing yet.

        Args:
            image: the file system.
            block_size: size of a block in bytes.
            decode: decompresses a block.
            damage: returns the error for an invalid structure, which its argument describes.
        """
        self.block_size = block_size
        self._image = image
        self._decode = decode
        self._damage = damage
        self._kept: dict[tuple[int, int], bytes] = {}

    def read(self, offset: int, size: int) -> bytes:
        """Returns the content of a block.

        Args:
            offset: where it is stored in the file system, in bytes.
            size: its stored size, with the flag `RAW_BLOCK`.

        Raises:
            UserError: it is damaged.
        """
        key = offset, size
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            stored = self._image.read(offset, size & ~RAW_BLOCK)
            try:
                self._kept[key] = stored if size & RAW_BLOCK else self._decode(stored, self.block_size)
            except ValueError as error:
                raise self._damage(f"the block of data at byte {offset}: {error}") from None
        return self._kept[key]

    def read_range(self, offset: int, size: int, begin: int, length: int) -> bytes:
        """Returns a range of the content of a block.

        Raises:
            UserError: the block is damaged, or has less content.
        """
        content = self.read(offset, size)
        if begin + length > len(content):
            raise self._damage(f"the block of data at byte {offset} has {len(content)} bytes, less than its files")
        return content[begin : begin + length]


@dataclass(frozen=True, slots=True)
class StoredBlocks:
    """Blocks of a file that follow one another.

    Attributes:
        reader: of the file system.
        offsets: where each is stored, in bytes.
        sizes: the stored size of each, with the flag `RAW_BLOCK`.
        start: where the source begins in the content of the blocks.
    """

    reader: BlockReader
    offsets: array[int]
    sizes: array[int]
    start: int = 0

    def read(self, offset: int, length: int) -> bytes:
        size = self.reader.block_size
        at, end = self.start + offset, self.start + offset + length
        parts = []
        while at < end:
            index, begin = divmod(at, size)
            count = min(size - begin, end - at)
            parts.append(self.reader.read_range(self.offsets[index], self.sizes[index], begin, count))
            at += count
        return b"".join(parts)

    def advanced(self, offset: int) -> Source:
        return replace(self, start=self.start + offset)

    def range_at(self, offset: int) -> tuple[int, int] | None:
        """Returns begin and end, in the source, of the block that is stored at a byte of the file system."""
        for index, (begin, size) in enumerate(zip(self.offsets, self.sizes, strict=True)):
            if begin <= offset < begin + (size & ~RAW_BLOCK):
                first = index * self.reader.block_size
                return first - self.start, first + self.reader.block_size - self.start
        return None


@dataclass(frozen=True, slots=True)
class StoredEnd:
    """The end of a file, in a block that it shares with others.

    Attributes:
        reader: of the file system.
        offset: where the block is stored, in bytes.
        size: its stored size, with the flag `RAW_BLOCK`.
        start: where the source begins in the content of the block.
    """

    reader: BlockReader
    offset: int
    size: int
    start: int

    def read(self, offset: int, length: int) -> bytes:
        return self.reader.read_range(self.offset, self.size, self.start + offset, length)

    def advanced(self, offset: int) -> Source:
        return replace(self, start=self.start + offset)

    def range_at(self, offset: int) -> tuple[int, int] | None:
        """Returns begin and end, in the source, of the block, if it is stored at a byte of the file system."""
        if self.offset <= offset < self.offset + (self.size & ~RAW_BLOCK):
            return 0, self.reader.block_size
        return None
