"""Reads the superblock, inodes and blocks of an ext4 file system, and checks them."""

from __future__ import annotations

from tools.core.errors import UserError
from tools.ext4.format.constants import (
    BLOCK_SIZES,
    MAGIC,
    MAX_LOGICAL_BLOCKS,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    Incompat,
    InodeFlag,
    RoCompat,
    feature_names,
)
from tools.ext4.format.extent_tree import DamagedTreeError, Mapping, walk_tree
from tools.ext4.format.group import DescriptorChecksum, GroupDescriptor
from tools.ext4.format.inode import OLD_SIZE, Inode, inode_checksum_is_right, inode_seed, parse_inode
from tools.ext4.format.superblock import Superblock, superblock_checksum_is_right
from tools.ext4.format.xattr import DamagedAttributesError, parse_attribute_block, parse_tail
from tools.image.extents import Extent, Image

_KNOWN = (
    Incompat.FILETYPE
    | Incompat.META_BG
    | Incompat.EXTENTS
    | Incompat.BIT64
    | Incompat.MMP
    | Incompat.FLEX_BG
    | Incompat.CSUM_SEED
    | Incompat.LARGEDIR
)
_OLD_DESCRIPTOR, _WIDE_DESCRIPTOR = 32, 64
_WINDOW = 1 << 16
_MAX_WINDOWS = 64
_IMAGE_BYTES_PER_ATTRIBUTE = 64
_MOST_SHARED = 16
"""How many files a block may have on average in a file system whose files share blocks (shared_blocks, of Android)."""


class Volume:
    """Reads the structures of one file system; a damaged one raises a `UserError`.

    Attributes:
        image: the file system.
        name: name of the image in messages.
        superblock: its superblock.
        seed: seed of the metadata checksums, or None without metadata_csum.
    """

    def __init__(self, image: Image, name: str) -> None:
        """Reads the superblock.

        Raises:
            UserError: the image is no ext4 file system, is damaged, or has unsupported features.
        """
        self.image = image
        self.name = name
        self.superblock = self._read_superblock()
        self.seed = self.superblock.seed if self.superblock.has_metadata_csum else None
        self._checksum = DescriptorChecksum(self.superblock)
        self._descriptors: dict[int, GroupDescriptor] = {}
        self._windows: dict[int, bytes] = {}
        self._attributes: dict[int, dict[bytes, bytes]] = {}
        self._merged_left = image.size // _IMAGE_BYTES_PER_ATTRIBUTE
        shared = self.superblock.ro_compat & RoCompat.SHARED_BLOCKS
        self._blocks_left = self.superblock.blocks * (_MOST_SHARED if shared else 1)
        self._claimed: set[int] = set()

    def damage(self, what: str) -> UserError:
        """Returns the error for an invalid structure, which `what` describes."""
        return UserError(f"{self.name}: damaged ext4 file system: {what}; e2fsck may be able to repair it")

    def block(self, number: int) -> bytes:
        """Returns the content of a block.

        Raises:
            UserError: the block is outside of the file system.
        """
        superblock = self.superblock
        if not superblock.first_block <= number < superblock.blocks:
            raise self.damage(f"block {number} is outside of the file system")
        return self.image.read(number * superblock.block_size, superblock.block_size)

    def own_block(self, number: int) -> bytes:
        """Returns the content of a block that belongs to one inode alone: of a directory, or of an extent tree.

        Raises:
            UserError: the block is outside of the file system, or was returned before.
        """
        if number in self._claimed:
            raise self.damage(f"block {number} belongs to two directories or extent trees")
        self._claimed.add(number)
        return self.block(number)

    def inode(self, number: int) -> Inode:
        """Returns an inode that is in use.

        Raises:
            UserError: the inode doesn't exist, isn't in use, or is damaged.
        """
        superblock = self.superblock
        if not 0 < number <= superblock.inodes:
            raise self.damage(f"inode {number} does not exist")
        group, index = divmod(number - 1, superblock.inodes_per_group)
        table = self._descriptor(group).inode_table
        size = superblock.inode_size
        if not superblock.first_block <= table < superblock.blocks:
            raise self.damage(f"inode table of group {group} is outside of the file system")
        data = self._read_inode(table * superblock.block_size + index * size, size)
        if not any(data[:2]):
            raise self.damage(f"inode {number} is not in use")
        if self.seed is not None and not inode_checksum_is_right(self.seed, number, data):
            raise self.damage(f"inode {number} has a wrong checksum")
        try:
            return parse_inode(data)
        except ValueError as error:
            raise self.damage(f"inode {number}: {error}") from None

    def inode_seed(self, number: int, inode: Inode) -> int | None:
        """Returns the seed of the checksums of an inode's blocks, or None without metadata_csum."""
        return None if self.seed is None else inode_seed(self.seed, number, inode.generation)

    def mappings(self, number: int, inode: Inode) -> list[Mapping]:
        """Returns the extents of an inode, in logical order; to be called once for each inode.

        Raises:
            UserError: the inode has no extent tree, or its extents are out of order, overlap, leave the file system, or
                have more blocks than other inodes have left.
        """
        superblock = self.superblock
        if not inode.flags & InodeFlag.EXTENTS:
            raise UserError(
                f"{self.name}: inode {number} has a block map as in ext2 instead of extents, which is not supported"
            )
        result = []
        try:
            for mapping in walk_tree(inode.pointer, self.own_block, self.inode_seed(number, inode)):
                self._blocks_left -= mapping.length
                end = mapping.physical + mapping.length
                if self._blocks_left < 0 or mapping.physical < superblock.first_block or end > superblock.blocks:
                    raise self.damage(f"inode {number} has blocks outside of the file system, or more than it has")
                result.append(mapping)
        except DamagedTreeError as error:
            raise self.damage(f"inode {number}: {error}") from None
        return result

    def content(self, number: int, inode: Inode) -> Image:
        """Returns the content of an inode as ranges of the file system's image; reads only its extent tree.

        Raises:
            UserError: as for `mappings`, or the size is out of range.
        """
        block_size = self.superblock.block_size
        size = inode.size
        if size > MAX_LOGICAL_BLOCKS * block_size:
            raise self.damage(f"inode {number} has the impossible size {size}")
        parts: list[Extent] = []
        for logical, physical, length, is_written in self.mappings(number, inode):
            begin = logical * block_size
            if not is_written or begin >= size:
                continue
            start = physical * block_size
            found = self.image.overlapping(start, start + min(length * block_size, size - begin))
            parts += [part.moved(begin - start) for part in found]
        return Image(size, parts)

    def xattrs(self, number: int, inode: Inode) -> dict[bytes, bytes]:
        """Returns the extended attributes of an inode, by full name; other inodes may have the same dictionary.

        Raises:
            UserError: an attribute is damaged.
        """
        try:
            found = parse_tail(inode.tail) if inode.tail else {}
            if inode.xattr_block:
                shared = self._attribute_block(inode.xattr_block)
                if not found:
                    return shared
                self._merged_left -= len(shared)
                if self._merged_left < 0:
                    raise self.damage("its inodes have more attributes than the file system has room for")
                found |= shared
        except DamagedAttributesError as error:
            raise self.damage(f"inode {number}: {error}") from None
        return found

    def _attribute_block(self, number: int) -> dict[bytes, bytes]:
        if number not in self._attributes:
            self._attributes[number] = parse_attribute_block(self.block(number), number, self.seed)
        return self._attributes[number]

    def _read_superblock(self) -> Superblock:
        if self.image.size < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE:
            raise UserError(f"{self.name}: too small for an ext4 file system")
        data = self.image.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)
        superblock = Superblock.parse(data)
        if superblock.magic != MAGIC:
            raise UserError(f"{self.name}: not an ext2, ext3 or ext4 file system")
        if superblock.has_metadata_csum and not superblock_checksum_is_right(data):
            raise self.damage("the superblock has a wrong checksum")
        if superblock.incompat & Incompat.RECOVER:
            raise UserError(f"{self.name}: the journal needs recovery; run e2fsck on the file system first")
        if unknown := superblock.incompat & ~int(_KNOWN):
            names = ", ".join(feature_names(Incompat, unknown))
            raise UserError(f"{self.name}: ext4 file system with unsupported features: {names}")
        if fault := _superblock_fault(superblock):
            raise self.damage(f"the superblock has {fault}")
        size = superblock.blocks * superblock.block_size
        if size > self.image.size:
            raise UserError(
                f"{self.name}: truncated: the ext4 file system has {size} bytes, but the image only {self.image.size}"
            )
        return superblock

    def _descriptor(self, group: int) -> GroupDescriptor:
        if group not in self._descriptors:
            size = self.superblock.descriptor_size if self.superblock.is_wide else _OLD_DESCRIPTOR
            offset = self._descriptor_offset(group, size)
            if offset + size > self.image.size:
                raise self.damage(f"descriptor of group {group} is outside of the file system")
            data = self.image.read(offset, size)
            if not self._checksum.is_right(group, data):
                raise self.damage(f"descriptor of group {group} has a wrong checksum")
            self._descriptors[group] = GroupDescriptor.parse(data)
        return self._descriptors[group]

    def _descriptor_offset(self, group: int, size: int) -> int:
        """Returns the offset of a group's descriptor: after the superblock, or in its meta group (meta_bg)."""
        superblock = self.superblock
        per_block = superblock.block_size // size
        meta, index = divmod(group, per_block)
        if not superblock.incompat & Incompat.META_BG or meta < superblock.first_meta_group:
            return (superblock.first_block + 1) * superblock.block_size + group * size
        first = meta * per_block
        block = superblock.first_block + first * superblock.blocks_per_group + _has_superblock(superblock, first)
        return block * superblock.block_size + index * size

    def _read_inode(self, offset: int, size: int) -> bytes:
        """Reads an inode through a cache of 64 KiB windows, since neighbouring inodes are often read next."""
        window, begin = divmod(offset, _WINDOW)
        if window not in self._windows:
            if len(self._windows) >= _MAX_WINDOWS:
                del self._windows[next(iter(self._windows))]
            start = window * _WINDOW
            if offset + size > self.image.size:
                raise self.damage("an inode table runs over the end of the file system")
            self._windows[window] = self.image.read(start, min(_WINDOW, self.image.size - start))
        return self._windows[window][begin : begin + size]


def _has_superblock(superblock: Superblock, group: int) -> bool:
    """Returns whether a group has a copy of the superblock."""
    if group < 2 or not superblock.ro_compat & RoCompat.SPARSE_SUPER:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


def _superblock_fault(superblock: Superblock) -> str:
    """Describes the first invalid field of a superblock; returns an empty string if all are valid."""
    if superblock.log_block_size > 2:
        return f"a block size other than {BLOCK_SIZES}"
    bits = superblock.block_size * 8
    checks = {
        "an impossible first block": superblock.first_block == SUPERBLOCK_OFFSET // superblock.block_size,
        "no blocks": superblock.blocks > superblock.first_block,
        "an impossible number of blocks in a group": 0 < superblock.blocks_per_group <= bits,
        "an impossible number of inodes in a group": 0 < superblock.inodes_per_group <= bits,
        "an impossible inode size": OLD_SIZE <= superblock.inode_size <= superblock.block_size
        and superblock.inode_size & (superblock.inode_size - 1) == 0,
        "an impossible descriptor size": not superblock.is_wide
        or (_WIDE_DESCRIPTOR <= superblock.descriptor_size <= superblock.block_size),
    }
    for fault, is_fine in checks.items():
        if not is_fine:
            return fault
    if superblock.inodes != superblock.groups * superblock.inodes_per_group:
        return "a number of inodes that does not match its groups"
    return ""
