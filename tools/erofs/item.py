"""An inode to be written, and what is known about it before it has a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tools.erofs.format import BLOCK_SIZE, COMPACT_SIZE, EXTENDED_SIZE, Layout
from tools.image.extents import Image
from tools.tree.numbering import NumberedNode

_CHUNK_ADDRESS = 4


@dataclass(slots=True, eq=False)
class Item(NumberedNode):
    """An inode to be written.

    Attributes:
        size: size in bytes; of a directory, of its entries.
        content: what its blocks and its tail hold; of a directory, None until all inodes have numbers.
        is_extended: whether the inode has 64 bytes.
        attributes: packed extended attributes.
        layout: where the content is.
        chunk_bits: a chunk has `2**chunk_bits` blocks, if the layout has chunks.
        chunks: the numbers of the chunks with data, in order, if the layout has chunks.
        nid: number of the inode.
        block: block address of the content, if the layout has no chunks or if there are any with data.
    """

    system: ClassVar[str] = "erofs"

    size: int = 0
    content: Image | None = None
    is_extended: bool = False
    attributes: bytes = b""
    layout: Layout = Layout.FLAT_PLAIN
    chunk_bits: int = 0
    chunks: Sequence[int] = ()
    nid: int = 0
    block: int = 0

    @property
    def blocks(self) -> int:
        """The number of blocks of content."""
        total = -(-self.size // BLOCK_SIZE)
        match self.layout:
            case Layout.CHUNK_BASED:
                return sum(min(1 << self.chunk_bits, total - (chunk << self.chunk_bits)) for chunk in self.chunks)
            case Layout.FLAT_INLINE:
                return total - 1
        return total

    @property
    def head_size(self) -> int:
        """The size in bytes of the inode with its attributes."""
        return (EXTENDED_SIZE if self.is_extended else COMPACT_SIZE) + len(self.attributes)

    @property
    def chunk_count(self) -> int:
        """The number of chunks, with and without data."""
        return -(-self.size // (BLOCK_SIZE << self.chunk_bits))

    @property
    def metadata_size(self) -> int:
        """The size in bytes of the inode with all that follows it."""
        if self.layout == Layout.CHUNK_BASED:
            return self.head_size + self.chunk_count * _CHUNK_ADDRESS
        return self.head_size + (self.size % BLOCK_SIZE if self.layout == Layout.FLAT_INLINE else 0)
