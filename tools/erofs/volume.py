"""Reads the superblock, inodes, attributes and contents of an EROFS file system, and checks them."""

from __future__ import annotations

from collections.abc import Iterator

from tools.core.errors import UserError
from tools.erofs.format import (
    CHUNK_INDEXES,
    COMPACT_SIZE,
    EXTENDED_SIZE,
    MAX_CHUNK_BITS,
    NULL_ADDRESS,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    Compat,
    Incompat,
    Inode,
    Layout,
    Superblock,
    parse_inode,
    superblock_checksum,
)
from tools.erofs.xattr import entry_size, packed_size, parse_attributes, parse_entry
from tools.image.extents import Extent, Image

_BLOCK_BITS = range(9, 17)
_SUPPORTED = Incompat.CHUNKED_FILE | Incompat.ZERO_PADDING
_COMPRESSED = (Layout.COMPRESSED_FULL, Layout.COMPRESSED_COMPACT)
_WINDOW = 1 << 16
_MAX_WINDOWS = 64
_SPARE = 1 << 16
_MOST_SHARED = 16
"""How many files a block may have on average in a file system with chunks, which files can share."""


class Volume:
    """Reads the structures of one file system; a damaged one raises a `UserError`.

    Structures may overlap in a damaged image, so that few bytes stand for many inodes. Hence all directories,
    attributes and addresses of chunks together have at most as many bytes as the image has data, and all files together
    at most as many blocks as the file system, or 16 times as many where files can share them.

    Attributes:
        image: the file system.
        name: name of the image in messages.
        superblock: its superblock.
    """

    def __init__(self, image: Image, name: str) -> None:
        """Reads the superblock.

        Raises:
            UserError: the image is no EROFS file system, is damaged, or has unsupported features.
        """
        self.image = image
        self.name = name
        self.superblock = self._read_superblock()
        self._size = self.superblock.blocks * self.superblock.block_size
        self._windows: dict[int, bytes] = {}
        self._shared: dict[int, tuple[bytes, bytes]] = {}
        self._metadata_left = image.data_size + _SPARE
        has_chunks = self.superblock.feature_incompat & Incompat.CHUNKED_FILE
        self._blocks_left = self.superblock.blocks * (_MOST_SHARED if has_chunks else 1)

    def damage(self, what: str) -> UserError:
        """Returns the error for an invalid structure, which `what` describes."""
        return UserError(f"{self.name}: damaged EROFS file system: {what}; build it again")

    def inode(self, number: int) -> Inode:
        """Returns an inode.

        Raises:
            UserError: the inode doesn't exist, is damaged, or is compressed.
        """
        offset = self._inode_offset(number)
        if not SUPERBLOCK_OFFSET < offset <= self._size - COMPACT_SIZE:
            raise self.damage(f"inode {number} is outside of the file system")
        try:
            inode = parse_inode(self._read_inode(offset))
        except ValueError as error:
            raise self.damage(f"inode {number}: {error}") from None
        if inode.layout in _COMPRESSED:
            raise UserError(f"{self.name}: inode {number} is compressed, which is not supported")
        return inode

    def blocks(self, number: int, inode: Inode) -> Iterator[bytes]:
        """Yields the content of a directory or symbolic link, block by block; the last one may be shorter.

        Raises:
            UserError: the content is outside of the file system, or others have all of its metadata already.
        """
        if inode.layout == Layout.CHUNK_BASED:
            raise self.damage(f"inode {number} has chunks, but is no file")
        self._take_metadata(number, inode.size)
        content = self.content(number, inode)
        block_size = self.superblock.block_size
        for at in range(0, inode.size, block_size):
            yield content.read(at, min(block_size, inode.size - at))

    def content(self, number: int, inode: Inode) -> Image:
        """Returns the content of an inode as ranges of the file system's image; to be called once for each inode.

        Raises:
            UserError: the content is outside of the file system, or has more blocks than others have left.
        """
        if inode.layout == Layout.CHUNK_BASED:
            return self._chunked(number, inode)
        block_size = self.superblock.block_size
        whole, tail = inode.size, 0
        if inode.layout == Layout.FLAT_INLINE and inode.size:
            tail = (inode.size - 1) % block_size + 1
            whole = inode.size - tail
        parts = self._range(number, 0, inode.place, whole)
        if tail:
            start = self._inode_offset(number) + _head_size(inode)
            if start % block_size + tail > block_size or start + tail > self._size:
                raise self.damage(f"inode {number} has a tail that leaves its block")
            parts += [part.moved(whole - start) for part in self.image.overlapping(start, start + tail)]
        return Image(inode.size, parts)

    def xattrs(self, number: int, inode: Inode) -> dict[bytes, bytes]:
        """Returns the extended attributes of an inode, by full name.

        Raises:
            UserError: an attribute is damaged, or others have all of the metadata already.
        """
        size = packed_size(inode.xattr_count)
        if not size:
            return {}
        self._take_metadata(number, size)
        start = self._inode_offset(number) + _inode_size(inode)
        if start + size > self._size:
            raise self.damage(f"inode {number} has attributes outside of the file system")
        try:
            ids, found = parse_attributes(self.image.read(start, size))
            for each in ids:
                name, value = self._shared_attribute(number, each)
                found.setdefault(name, value)
        except ValueError as error:
            raise self.damage(f"inode {number}: {error}") from None
        return found

    def _shared_attribute(self, number: int, identifier: int) -> tuple[bytes, bytes]:
        if identifier not in self._shared:
            start = self.superblock.xattr_block * self.superblock.block_size + 4 * identifier
            if start + 4 > self._size:
                raise self.damage(f"inode {number} has a shared attribute outside of the file system")
            size = entry_size(self.image.read(start, 4))
            self._take_metadata(number, size)
            if start + size > self._size:
                raise self.damage(f"inode {number} has a shared attribute outside of the file system")
            name, value, _ = parse_entry(self.image.read(start, size), 0)
            self._shared[identifier] = name, value
        return self._shared[identifier]

    def _chunked(self, number: int, inode: Inode) -> Image:
        """Returns the content of a file that is stored in chunks."""
        if inode.place & ~(MAX_CHUNK_BITS | CHUNK_INDEXES) or not (
            self.superblock.feature_incompat & Incompat.CHUNKED_FILE
        ):
            raise self.damage(f"inode {number} has the unknown chunk format {inode.place:#x}")
        step = 8 if inode.place & CHUNK_INDEXES else 4
        chunk_size = self.superblock.block_size << (inode.place & MAX_CHUNK_BITS)
        count = -(-inode.size // chunk_size)
        self._take_metadata(number, count * step)
        start = self._inode_offset(number) + _head_size(inode)
        start += -start % step
        if start + count * step > self._size:
            raise self.damage(f"inode {number} has chunks outside of the file system")
        table = self.image.read(start, count * step)
        parts: list[Extent] = []
        for index in range(count):
            at = index * step
            if step == 8 and table[at + 2 : at + 4] != b"\0\0":
                raise UserError(f"{self.name}: inode {number} has chunks on another device, which is not supported")
            address = int.from_bytes(table[at + step - 4 : at + step], "little")
            if address != NULL_ADDRESS:
                begin = index * chunk_size
                parts += self._range(number, begin, address, min(chunk_size, inode.size - begin))
        return Image(inode.size, parts)

    def _range(self, number: int, offset: int, block: int, length: int) -> list[Extent]:
        """Returns what is stored in the blocks from `block` on, moved to an offset of the content."""
        if not length:
            return []
        block_size = self.superblock.block_size
        start = block * block_size
        self._blocks_left -= -(-length // block_size)
        if self._blocks_left < 0 or not block or start + length > self._size:
            raise self.damage(f"inode {number} has blocks outside of the file system, or more than it has")
        return [part.moved(offset - start) for part in self.image.overlapping(start, start + length)]

    def _take_metadata(self, number: int, size: int) -> None:
        """Raises a `UserError` if the inodes up to this one have more metadata than the image has data."""
        self._metadata_left -= size
        if self._metadata_left < 0:
            raise self.damage(f"the inodes up to {number} have more metadata than there is data in the image")

    def _inode_offset(self, number: int) -> int:
        return self.superblock.metadata_block * self.superblock.block_size + number * SLOT_SIZE

    def _read_inode(self, offset: int) -> bytes:
        """Reads an inode through a cache of 64 KiB windows, since neighbouring inodes are often read next."""
        window, begin = divmod(offset, _WINDOW)
        if window not in self._windows:
            if len(self._windows) >= _MAX_WINDOWS:
                del self._windows[next(iter(self._windows))]
            start = window * _WINDOW
            self._windows[window] = self.image.read(start, min(_WINDOW + SLOT_SIZE, self.image.size - start))
        return self._windows[window][begin : begin + EXTENDED_SIZE]

    def _read_superblock(self) -> Superblock:
        end = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE
        superblock = None
        if self.image.size >= end:
            superblock = Superblock.parse(self.image.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE))
        if superblock is None:
            raise UserError(f"{self.name}: not an EROFS file system")
        if superblock.block_bits not in _BLOCK_BITS:
            raise self.damage(f"the block size 2**{superblock.block_bits} is not possible")
        if unknown := superblock.feature_incompat & ~int(_SUPPORTED):
            raise UserError(f"{self.name}: EROFS file system with unsupported features: {_names(unknown)}")
        if superblock.extra_devices or superblock.directory_block_bits:
            raise UserError(f"{self.name}: EROFS file system on several devices, or with larger directory blocks")
        size = superblock.blocks * superblock.block_size
        if not end <= size <= self.image.size:
            raise UserError(
                f"{self.name}: truncated: the EROFS file system has {size} bytes, but the image {self.image.size}"
            )
        if superblock.feature_compat & Compat.SB_CHKSUM:
            length = superblock.block_size
            length -= SUPERBLOCK_OFFSET if length > SUPERBLOCK_OFFSET else 0
            if superblock_checksum(self.image.read(SUPERBLOCK_OFFSET, length)) != superblock.checksum:
                raise self.damage("the superblock has a wrong checksum")
        return superblock


def _inode_size(inode: Inode) -> int:
    return COMPACT_SIZE if inode.mtime is None else EXTENDED_SIZE


def _head_size(inode: Inode) -> int:
    """Returns the size in bytes of an inode with its attributes."""
    return _inode_size(inode) + packed_size(inode.xattr_count)


def _names(flags: int) -> str:
    """Returns the names of incompatible features; of unknown ones the hexadecimal value."""
    names = {flag.value: (flag.name or "").lower() for flag in Incompat}
    return ", ".join(names.get(1 << bit, hex(1 << bit)) for bit in range(flags.bit_length()) if flags >> bit & 1)
