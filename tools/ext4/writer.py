"""Writes a tree as the image of an ext4 file system."""

from __future__ import annotations

import struct
from collections import Counter
from itertools import chain

from tools.ext4.block_placement import Placement
from tools.ext4.fit import fit, fit_layers
from tools.ext4.format.constants import (
    FIRST_INODE,
    JOURNAL_INODE,
    SUPERBLOCK_OFFSET,
    Compat,
    Incompat,
    RoCompat,
)
from tools.ext4.format.directory_hash import HALF_MD4, UNSIGNED_FLAG
from tools.ext4.format.group import MIN_DESCRIPTOR_SIZE
from tools.ext4.format.inode import EXTRA_SIZE, OLD_SIZE
from tools.ext4.format.superblock import Superblock
from tools.ext4.geometry import Geometry
from tools.ext4.group_tables import Usage, describe_tables
from tools.ext4.inode_table import InodeTable
from tools.ext4.inodes import Inodes
from tools.ext4.inventory import Inventory, take_inventory
from tools.ext4.options import Ext4Options
from tools.image.extents import Image
from tools.tree.layer import Overlay
from tools.tree.node import Directory

_NANOSECONDS = 10**9
_JOURNAL_MODE = 0o100600
_JOURNAL_BACKUP = 1
_CRC32C = 1
_BITS = 8
_XATTR_AND_ACL = 0x000C


def write_ext4(root: Directory, options: Ext4Options, overlay: Overlay | None = None) -> Image:
    """Returns the image of an ext4 file system that holds a tree.

    The image depends only on the arguments. It refers to file contents as ranges of their sources, and holes in files
    stay holes. Directories and other metadata are placed first, then files in the order of the walk.

    With an overlay, the places of the base's inodes and contents are those that they have without it, and those of the
    overlay depend on their paths. So a changed, larger or additional file changes few blocks besides its own. If the
    file system is too small for that, everything is placed in one order.

    A lost+found is added to the root if the tree has none. All timestamps of an inode are its node's `mtime_ns`.

    Args:
        root: the tree, which must not change while the image is in use. A node under several names becomes one inode
            with hard links.
        options: the file system's parameters.
        overlay: the entries that are not from the base.

    Returns:
        An image of `options.size` bytes.

    Raises:
        UserError: ext4 cannot store something in the tree; the message has its path.
        FitError: the tree doesn't fit in `options.size`.
        InodeCountError: the tree needs more inodes than `options.inode_count`.
    """
    inventory, geometry, placement = _plan(root, options, overlay)
    superblock = _superblock(inventory.inodes, options, geometry, placement)
    usage = Usage(
        position=placement.position,
        freed=placement.freed,
        apart=placement.apart,
        inodes=_inode_bits(inventory.inodes),
        directories=_directories(inventory.inodes, geometry),
        inode_table=InodeTable(inventory, options, placement),
    )
    return Image(options.size, [*describe_tables(geometry, superblock, usage), *placement.extents])


def _plan(root: Directory, options: Ext4Options, overlay: Overlay | None) -> tuple[Inventory, Geometry, Placement]:
    """Returns the inodes, and where everything is."""
    if overlay and (found := _plan_layers(root, options, overlay)):
        return found
    inventory = take_inventory(root, options)
    return inventory, *fit(inventory, options)


def _plan_layers(
    root: Directory, options: Ext4Options, overlay: Overlay
) -> tuple[Inventory, Geometry, Placement] | None:
    """Returns the same for a base with an overlay; None if there is no overlay after all, or too little room for it."""
    inventory = take_inventory(root, options, overlay)
    found = fit_layers(inventory, options) if inventory.is_layered else None
    return (inventory, *found) if found else None


def _inode_bits(inodes: Inodes) -> bytearray:
    """Returns the bitmap of the inodes in use, up to the last one; the reserved ones are in use."""
    bits = bytearray(inodes.last + _BITS - 1 >> 3)
    for number in chain(range(1, FIRST_INODE), map(inodes.number, inodes.live)):
        bits[number - 1 >> 3] |= 1 << (number - 1 & _BITS - 1)
    return bits


def _directories(inodes: Inodes, geometry: Geometry) -> Counter[int]:
    per_group = geometry.inodes_per_group
    numbers = (inodes.number(row) for row in inodes.live if isinstance(inodes.nodes[row], Directory))
    return Counter((number - 1) // per_group for number in numbers)


def _superblock(inodes: Inodes, options: Ext4Options, geometry: Geometry, placement: Placement) -> Superblock:
    log_block_size = options.block_size.bit_length() - SUPERBLOCK_OFFSET.bit_length()
    extra_size = EXTRA_SIZE if options.inode_size > OLD_SIZE else 0
    overhead = geometry.metadata_blocks + placement.journal_blocks
    superblock = Superblock(
        inodes=geometry.inodes,
        blocks=geometry.blocks,
        reserved_blocks=int(geometry.blocks * options.reserved_percent / 100),
        free_blocks=geometry.blocks - geometry.metadata_blocks - placement.used,
        free_inodes=geometry.inodes - _used_inodes(inodes),
        first_block=geometry.first_block,
        log_block_size=log_block_size,
        log_cluster_size=log_block_size,
        blocks_per_group=geometry.blocks_per_group,
        clusters_per_group=geometry.blocks_per_group,
        inodes_per_group=geometry.inodes_per_group,
        write_time=options.timestamp,
        last_check=options.timestamp,
        first_inode=FIRST_INODE,
        inode_size=options.inode_size,
        compat=Compat.EXT_ATTR | Compat.DIR_INDEX | (Compat.HAS_JOURNAL if placement.journal else 0),
        incompat=_incompat(geometry),
        ro_compat=_ro_compat(options),
        uuid=options.uuid.bytes,
        label=options.label.encode(),
        hash_seed=options.seed.bytes,
        hash_version=HALF_MD4,
        descriptor_size=geometry.descriptor_size if _is_wide(geometry) else 0,
        mount_options=_XATTR_AND_ACL,
        creation_time=options.timestamp,
        min_extra_inode_size=extra_size,
        want_extra_inode_size=extra_size,
        flags=UNSIGNED_FLAG,
        log_groups_per_flex=options.groups_per_flex.bit_length() - 1,
        checksum_type=_CRC32C if options.metadata_csum else 0,
        overhead_blocks=overhead if overhead < 2**32 else 0,
        lost_and_found_inode=FIRST_INODE,
    )
    if placement.journal:
        size = placement.journal_blocks * options.block_size
        superblock.journal_inode = JOURNAL_INODE
        superblock.journal_backup_type = _JOURNAL_BACKUP
        superblock.journal_backup = placement.journal.pointer + struct.pack("<II", size >> 32, size & 0xFFFFFFFF)
    return superblock


def _used_inodes(inodes: Inodes) -> int:
    """Returns the number of inodes in use: those of the tree, and the reserved ones, of which the root is one."""
    return FIRST_INODE - 1 + sum(1 for _ in inodes.live) - 1


def _is_wide(geometry: Geometry) -> bool:
    return geometry.descriptor_size > MIN_DESCRIPTOR_SIZE


def _incompat(geometry: Geometry) -> int:
    flags = Incompat.FILETYPE | Incompat.EXTENTS
    if _is_wide(geometry):
        flags |= Incompat.BIT64
    if geometry.groups_per_flex > 1:
        flags |= Incompat.FLEX_BG
    return flags


def _ro_compat(options: Ext4Options) -> int:
    flags = RoCompat.SPARSE_SUPER | RoCompat.LARGE_FILE | RoCompat.HUGE_FILE | RoCompat.DIR_NLINK
    if options.inode_size > OLD_SIZE:
        flags |= RoCompat.EXTRA_ISIZE
    return flags | (RoCompat.METADATA_CSUM if options.metadata_csum else RoCompat.GDT_CSUM)
