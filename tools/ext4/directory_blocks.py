"""Lays out the directories of a tree, and packs them when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.ext4.format.checksum import file_system_seed
from tools.ext4.format.directory import pack_block
from tools.ext4.format.htree import Layout, lay_out, pack_directory
from tools.ext4.format.inode import inode_seed
from tools.ext4.inodes import LOST_AND_FOUND_ROW
from tools.ext4.numbering import Numbering
from tools.ext4.options import Ext4Options
from tools.image.extents import Buffer, Data, Extent, Image, Source

_LOST_AND_FOUND_SIZE = 16384
"""Size of lost+found in bytes; preallocated, as by mke2fs, so that e2fsck need not allocate blocks to use it."""


class DirectoryPacker:
    """Packs directories, given by their rows.

    The blocks of a directory take a block for a few entries, or 20 bytes and more for each of many. So they are packed
    when they are read; only the layouts of those with several blocks are in memory before.
    """

    def __init__(self, options: Ext4Options, numbering: Numbering) -> None:
        self._numbering = numbering
        self._block_size = options.block_size
        self._hash_seed = options.seed
        self._checksum_seed = file_system_seed(options.uuid.bytes) if options.metadata_csum else None
        self._packed = -1, b""  # a large directory is read in several parts

    def content(self, directory: int) -> tuple[Image, bool]:
        """Returns the blocks of a directory, and whether it is indexed."""
        layout = self._lay_out(self._numbering.names(directory))
        size = layout.blocks * self._block_size
        if directory == LOST_AND_FOUND_ROW and not layout.hashes:
            size = max(size, _LOST_AND_FOUND_SIZE)
        return Image(size, (Extent(0, size, _Blocks(self, directory, layout)),)), bool(layout.hashes)

    def base_blocks(self, directory: int) -> int:
        """Returns how many blocks a directory has in the base."""
        blocks = self._lay_out(self._numbering.base_names(directory)).blocks
        return max(blocks, _LOST_AND_FOUND_SIZE // self._block_size) if directory == LOST_AND_FOUND_ROW else blocks

    def pack(self, directory: int, layout: Layout) -> bytes:
        """Returns all blocks of a directory."""
        if self._packed[0] != directory:
            self._packed = directory, self._pack(directory, layout)
        return self._packed[1]

    def _lay_out(self, names: Sequence[bytes]) -> Layout:
        has_tail = self._checksum_seed is not None
        return lay_out(names, block_size=self._block_size, hash_seed=self._hash_seed, has_tail=has_tail)

    def _pack(self, directory: int, layout: Layout) -> bytes:
        inodes = self._numbering.inodes
        number, parent = inodes.number(directory), inodes.number(inodes.parents[directory])
        seed = None if self._checksum_seed is None else inode_seed(self._checksum_seed, number)
        entries = self._numbering.entries(directory)
        blocks = pack_directory(layout, entries, number, parent, block_size=self._block_size, seed=seed)
        if directory == LOST_AND_FOUND_ROW and not layout.hashes:
            spare = (_LOST_AND_FOUND_SIZE - len(blocks)) // self._block_size
            blocks += pack_block([], self._block_size, seed) * spare
        return blocks


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks of a directory, as the source of an extent."""

    packer: DirectoryPacker
    directory: int
    layout: Layout

    def read(self, offset: int, length: int) -> Buffer:
        return memoryview(self.packer.pack(self.directory, self.layout))[offset : offset + length]

    def advanced(self, offset: int) -> Source:
        return Data(memoryview(self.packer.pack(self.directory, self.layout))[offset:])
