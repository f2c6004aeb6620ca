"""Reads the superblock, inodes, listings, attributes and contents of a SquashFS file system, and checks them."""

from __future__ import annotations

import struct
from array import array

from tools.core.errors import UserError
from tools.image.extents import Extent, Image
from tools.squashfs.blocks import BlockReader, StoredBlocks, StoredEnd
from tools.squashfs.decompression import decoder
from tools.squashfs.directory import Entry, parse_listing
from tools.squashfs.format import FRAGMENT, NO_FRAGMENT, NO_TABLE, NO_XATTRS, RAW_BLOCK, SUPERBLOCK_SIZE, Superblock
from tools.squashfs.inode import DirectoryInode, FileInode, Inode, parse_inode
from tools.squashfs.tables import INDEX, Allowance, MetadataArea, read_table
from tools.squashfs.xattr import LIST, TABLE, parse_list

_ID_SIZE = 4
_SPARE = 1 << 16
_RUN = 8
"""What a further run of blocks counts for, in blocks: fewer than the bytes that the smallest compressed block takes."""

_INODE = 64
_XATTRS = 32
"""What an inode and a list of extended attributes take of the allowance besides their bytes: they are objects then."""


class Volume:
    """Reads the structures of one file system; a damaged one raises a `UserError`.

    Attributes:
        name: name of the image in messages.
        superblock: its superblock.
    """

    def __init__(self, image: Image, name: str) -> None:
        """Reads the superblock and the tables.

        Raises:
            UserError: the image is no SquashFS file system, is damaged, or has an unsupported compression.
        """
        self.name = name
        self.superblock = self._read_superblock(image)
        self._image = image.slice(0, self.superblock.bytes_used)
        try:
            self._decode = decoder(self.superblock.compression)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        self._allowance = Allowance(image)
        self._blocks_left = image.data_size + _SPARE
        self._inodes_left = self.superblock.inodes
        self._xattrs: dict[int, dict[bytes, bytes]] = {}
        self._reader = BlockReader(self._image, self.superblock.block_size, self._decode, self.damage)
        try:
            self._read_tables()
        except ValueError as error:
            raise self.damage(str(error)) from None

    def damage(self, what: str) -> UserError:
        """Returns the error for an invalid structure, which `what` describes."""
        return UserError(f"{self.name}: damaged SquashFS file system: {what}; build it again")

    def inode(self, reference: int) -> Inode:
        """Returns an inode; to be called once for each.

        Raises:
            UserError: the inode doesn't exist or is damaged.
        """
        self._inodes_left -= 1
        if self._inodes_left < 0:
            raise self.damage(f"there are more inodes than {self.superblock.inodes}")
        try:
            self._allowance.take(_INODE)
            return parse_inode(self._inodes.cursor(reference), self.superblock.block_size)
        except ValueError as error:
            raise self.damage(f"inode at {reference:#x}: {error}") from None

    def entries(self, inode: DirectoryInode) -> list[Entry]:
        """Returns the entries of a directory.

        Raises:
            ValueError: its listing is damaged.
        """
        return list(parse_listing(self._listings.cursor(inode.start << 16 | inode.offset), inode.size))

    def identifier(self, number: int) -> int:
        """Returns a user or group ID from the table of IDs.

        Raises:
            UserError: the table doesn't have it.
        """
        if number >= len(self._ids):
            raise self.damage(f"an inode has the owner number {number}, but there are {len(self._ids)}")
        return self._ids[number]

    def xattrs(self, inode: Inode) -> dict[bytes, bytes]:
        """Returns the extended attributes of an inode, by full name.

        Raises:
            UserError: an attribute is damaged.
        """
        number = inode.xattrs
        if number == NO_XATTRS:
            return {}
        if number not in self._xattrs:
            try:
                self._xattrs[number] = self._read_xattrs(number)
            except ValueError as error:
                raise self.damage(f"inode {inode.number}: {error}") from None
        return self._xattrs[number]

    def content(self, inode: FileInode) -> Image:
        """Returns the content of a file.

        Raises:
            UserError: its blocks are outside of the file system.
        """
        extents, blocks_end = [], 0
        for first, offsets, sizes in self._runs(inode):
            begin = first * self.superblock.block_size
            blocks_end = min(begin + len(offsets) * self.superblock.block_size, inode.size)
            extents.append(Extent(begin, blocks_end - begin, StoredBlocks(self._reader, offsets, sizes)))
        rest = inode.size % self.superblock.block_size
        if inode.fragment != NO_FRAGMENT and rest:
            extents.append(Extent(inode.size - rest, rest, self._end(inode)))
        return Image(inode.size, extents)

    def _runs(self, inode: FileInode) -> list[tuple[int, array[int], array[int]]]:
        """Returns the runs of blocks that are not holes: number of the first, offset and size of each."""
        runs: list[tuple[int, array[int], array[int]]] = []
        at, behind = inode.start, -1
        for index, size in zip(inode.blocks.indexes, inode.blocks.sizes, strict=True):
            if index != behind:
                self._blocks_left -= _RUN * bool(runs)
                runs.append((index, array("Q"), array("I")))
            stored = size & ~RAW_BLOCK
            if not 0 < stored <= self.superblock.block_size or at + stored > self._image.size:
                raise self.damage(f"inode {inode.number} has blocks outside of the file system")
            runs[-1][1].append(at)
            runs[-1][2].append(size)
            at, behind = at + stored, index + 1
            self._blocks_left -= 1
            if self._blocks_left < 0:
                raise self.damage(f"the inodes up to {inode.number} have more blocks than there is data in the image")
        return runs

    def _end(self, inode: FileInode) -> StoredEnd:
        """Returns the end of a file that is in a fragment."""
        at = inode.fragment * FRAGMENT.size
        if at >= len(self._fragments):
            raise self.damage(f"inode {inode.number} has its end in the fragment {inode.fragment}, which isn't there")
        offset, size, _ = FRAGMENT.unpack_from(self._fragments, at)
        stored = size & ~RAW_BLOCK
        if not 0 < stored <= self.superblock.block_size or offset + stored > self._image.size:
            raise self.damage(f"fragment {inode.fragment} is outside of the file system")
        return StoredEnd(self._reader, offset, size, inode.offset)

    def _read_tables(self) -> None:
        """Reads the tables that are small, and finds the others."""
        superblock = self.superblock
        ids = self._table(superblock.id_table, superblock.ids * _ID_SIZE)
        self._ids: list[int] = [number for (number,) in struct.iter_unpack("<I", ids)]
        self._inodes = self._area(superblock.inode_table, superblock.directory_table, is_read_once=True)
        self._listings = self._area(superblock.directory_table, self._listings_end(), is_read_once=True)
        self._fragments = b""
        if superblock.fragments:
            self._fragments = self._table(superblock.fragment_table, superblock.fragments * FRAGMENT.size)
        self._lists = b""
        at = superblock.xattr_table
        if at != NO_TABLE:
            if at + TABLE.size > self._image.size:
                raise ValueError("the table of extended attributes is outside of the file system")
            start, count, _ = TABLE.unpack(self._image.read(at, TABLE.size))
            self._lists = self._table(at + TABLE.size, count * LIST.size)
            self._attributes = self._area(start, at)

    def _listings_end(self) -> int:
        """Returns where listings end: at the first block of the next table, which its index has.

        Without fragments, the offset of their table says nothing: mksquashfs sets one, squashfs-tools-ng `NO_TABLE`.
        """
        superblock = self.superblock
        index = superblock.id_table if superblock.export_table == NO_TABLE else superblock.export_table
        if superblock.fragments:
            index = superblock.fragment_table
        if index + INDEX.size > self._image.size:
            return index
        (end,) = INDEX.unpack(self._image.read(index, INDEX.size))
        return int(end)

    def _area(self, start: int, end: int, *, is_read_once: bool = False) -> MetadataArea:
        end = min(end, self._image.size)
        return MetadataArea(self._image, start, end, self._decode, self._allowance, is_read_once=is_read_once)

    def _table(self, index: int, size: int) -> bytes:
        return read_table(self._image, index, size, self._decode, self._allowance)

    def _read_xattrs(self, number: int) -> dict[bytes, bytes]:
        at = number * LIST.size
        if at >= len(self._lists):
            raise ValueError(f"there are no extended attributes of the number {number}")
        reference, count, _ = LIST.unpack_from(self._lists, at)
        self._allowance.take(_XATTRS * (1 + count))
        return parse_list(self._attributes.cursor(reference), count, self._attributes.cursor)

    def _read_superblock(self, image: Image) -> Superblock:
        superblock = None
        if image.size >= SUPERBLOCK_SIZE:
            try:
                superblock = Superblock.parse(image.read(0, SUPERBLOCK_SIZE))
            except ValueError as error:
                raise self.damage(str(error)) from None
        if superblock is None:
            raise UserError(f"{self.name}: not a SquashFS file system")
        if not SUPERBLOCK_SIZE < superblock.bytes_used <= image.size:
            raise self.damage(
                f"it should have {superblock.bytes_used} bytes, but the image has {image.size}; it is truncated"
            )
        return superblock
