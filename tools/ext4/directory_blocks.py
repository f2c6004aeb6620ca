"""Packs the directories of a tree."""

from __future__ import annotations

from dataclasses import dataclass

from tools.ext4.format.checksum import file_system_seed
from tools.ext4.format.directory import Entry, pack_block
from tools.ext4.format.htree import fits_in_block, pack_directory
from tools.ext4.format.inode import inode_seed
from tools.ext4.inodes import LOST_AND_FOUND_ROW
from tools.ext4.numbering import Numbering
from tools.ext4.options import Ext4Options
from tools.image.extents import Buffer, Data, Extent, Image, Source

_LOST_AND_FOUND_SIZE = 16384
"""Size of lost+found in bytes; preallocated, as by mke2fs, so that e2fsck need not allocate blocks to use it."""


class DirectoryPacker:
    """Packs directories, given by their rows."""

    def __init__(self, options: Ext4Options, numbering: Numbering) -> None:
        self._numbering = numbering
        self._block_size = options.block_size
        self._hash_seed = options.seed
        self._checksum_seed = file_system_seed(options.uuid.bytes) if options.metadata_csum else None

    def content(self, directory: int) -> tuple[Image, bool]:
        """Returns the blocks of a directory, and whether it is indexed.

        A directory of one block is packed when it is read: small ones, of which a tree may have many, take no memory.
        """
        names = self._numbering.names(directory)
        has_tail = self._checksum_seed is not None
        if directory == LOST_AND_FOUND_ROW or not fits_in_block(names, self._block_size, has_tail=has_tail):
            blocks, is_indexed = self._pack(directory, self._numbering.entries(directory))
            return Image.from_bytes(blocks), is_indexed
        size = self._block_size
        return Image(size, (Extent(0, size, _Block(self, directory)),)), False

    def base_content(self, directory: int) -> Image:
        """Returns the blocks of a directory as it is in the base."""
        return Image.from_bytes(self._pack(directory, self._numbering.base_entries(directory))[0])

    def block(self, directory: int) -> bytes:
        """Returns the only block of a directory."""
        return self._pack(directory, self._numbering.entries(directory))[0]

    def _pack(self, directory: int, entries: list[Entry]) -> tuple[bytes, bool]:
        """Returns the blocks of a directory with the given entries, and whether it is indexed."""
        inodes = self._numbering.inodes
        number, parent = inodes.number(directory), inodes.number(inodes.parents[directory])
        seed = None if self._checksum_seed is None else inode_seed(self._checksum_seed, number)
        blocks, is_indexed = pack_directory(
            entries, number, parent, block_size=self._block_size, hash_seed=self._hash_seed, seed=seed
        )
        if directory == LOST_AND_FOUND_ROW and not is_indexed:
            spare = (_LOST_AND_FOUND_SIZE - len(blocks)) // self._block_size
            blocks += pack_block([], self._block_size, seed) * spare
        return blocks, is_indexed


@dataclass(frozen=True, slots=True)
class _Block:
    """The block of a directory that has only one, as the source of an extent."""

    packer: DirectoryPacker
    directory: int

    def read(self, offset: int, length: int) -> Buffer:
        return memoryview(self.packer.block(self.directory))[offset : offset + length]

    def advanced(self, offset: int) -> Source:
        return Data(memoryview(self.packer.block(self.directory))[offset:])
