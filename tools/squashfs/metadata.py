"""Blocks of metadata, and tables of them ("3.2 Inodes" to "3.8" in Linux Documentation/filesystems/squashfs.rst).

Inodes, listings of directories and tables are cut into blocks of 8 KiB, each compressed, after 2 bytes with its stored
size. A reference to something in them is the offset of its block's 2 bytes, shifted by 16 bits, and its offset in the
block's content.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tools.core.errors import UserError
from tools.image.compression import Encoder

METADATA_SIZE = 8192
RAW_METADATA = 1 << 15
"""Flag in the size of a block of metadata that isn't compressed (SQUASHFS_COMPRESSED_BIT)."""

HEADER = struct.Struct("<H")
_MOST_START = 2**32 - 1
"""Offset of a block in its part of the file system: references and headers of listings have 32 bits for it."""


class MetadataWriter:
    """Packs pieces of metadata one after the other.

    Attributes:
        data: the blocks that are full.
    """

    def __init__(self, encode: Encoder) -> None:
        """Begins without blocks.

        Args:
            encode: compresses a block.
        """
        self.data = bytearray()
        self._encode = encode
        self._open = bytearray()

    @property
    def reference(self) -> int:
        """The reference to what is appended next."""
        return len(self.data) << 16 | len(self._open)

    def append(self, piece: bytes) -> int:
        """Adds a piece, which may go on in the next block; returns the reference to it.

        Raises:
            UserError: the metadata is too large for references to it.
        """
        reference = self.reference
        self._open += piece
        while len(self._open) >= METADATA_SIZE:
            self._close(bytes(self._open[:METADATA_SIZE]))
            del self._open[:METADATA_SIZE]
        return reference

    def finish(self) -> bytes:
        """Returns all blocks; the last one may have less content than the others."""
        if self._open:
            self._close(bytes(self._open))
            self._open.clear()
        return bytes(self.data)

    def _close(self, content: bytes) -> None:
        packed = self._encode(content)
        flag = 0 if len(packed) < len(content) else RAW_METADATA
        self.data += HEADER.pack(len(packed) | flag) + packed
        if len(self.data) > _MOST_START:
            raise UserError(
                "squashfs: the inodes, the directories or the extended attributes have more than 4 GiB of metadata; "
                "make the tree smaller"
            )


def pack_table(content: bytes, start: int, encode: Encoder) -> tuple[bytes, Sequence[int]]:
    """Packs a table: its blocks of metadata, for which an index has the offset of each.

    Args:
        content: of the table.
        start: offset in bytes where its first block is stored.
        encode: compresses a block.

    Returns:
        The blocks, and the offset of each.
    """
    writer = MetadataWriter(encode)
    offsets = []
    for at in range(0, len(content), METADATA_SIZE):
        offsets.append(start + len(writer.data))
        writer.append(content[at : at + METADATA_SIZE])
    return writer.finish(), offsets


def pack_offsets(offsets: Sequence[int]) -> bytes:
    """Returns the index of a table with blocks at these offsets."""
    return struct.pack(f"<{len(offsets)}Q", *offsets)
