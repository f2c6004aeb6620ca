"""Fits a tree into a file system, or computes the smallest file system that holds it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from tools.core.errors import UserError
from tools.ext4.block_placement import Placement, place_all
from tools.ext4.geometry import Geometry, NoRoomError, choose_geometry
from tools.ext4.inventory import Inventory
from tools.ext4.layered_placement import place_layers
from tools.ext4.options import Ext4Options
from tools.tree.capacity import CapacityError
from tools.tree.node import Directory

_MAX_DIRECTORIES_LISTED = 5
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class FitError(CapacityError):
    """A tree that doesn't fit in a file system of the requested size.

    Attributes:
        inodes: number of inodes that the tree needs, including the reserved ones.
        blocks: number of blocks that its contents need in the smallest file system that holds it.
        size: size of that file system, in bytes.
    """

    def __init__(self, problem: str, inodes: int, blocks: int, size: int, details: str) -> None:
        super().__init__(problem, size, details)
        self.inodes = inodes
        self.blocks = blocks


class InodeCountError(UserError):
    """A tree that needs more inodes than are wanted, whatever the size."""


def fit(inventory: Inventory, options: Ext4Options) -> tuple[Geometry, Placement]:
    """Returns the geometry of a file system, and the placement of a tree's contents in it.

    Args:
        inventory: the tree's inodes, from `take_inventory`.
        options: the file system's parameters.

    Raises:
        FitError: the tree doesn't fit.
        InodeCountError: the tree needs more inodes than `options.inode_count`.
    """
    try:
        geometry, placement = _attempt(inventory, options, options.size // options.block_size)
    except NoRoomError as error:
        found = str(error)
    else:
        if not placement.shortfall:
            return geometry, placement
        found = f"it has {geometry.blocks - geometry.metadata_blocks} blocks for contents"
    inodes = inventory.inodes.last
    least, placement = _smallest(inventory, options)
    size = least.blocks * least.block_size
    raise FitError(
        f"ext4: the tree does not fit in {_human(options.size)} ({options.size} bytes): it needs {inodes} "
        f"inodes and {placement.used} blocks of {options.block_size} bytes, but {found}",
        inodes=inodes,
        blocks=placement.used,
        size=size,
        details=f"the largest directories, without those below them: {_largest_directories(inventory)}",
    )


def fit_layers(inventory: Inventory, options: Ext4Options) -> tuple[Geometry, Placement] | None:
    """Returns geometry and placement of a tree with an overlay; None without room for a place of its own for each file.

    Raises:
        UserError: a parameter is out of range for this file system.
    """
    try:
        geometry = choose_geometry(options, options.size // options.block_size, inventory.inodes.last)
        if inventory.inodes.last <= geometry.inodes:
            return geometry, place_layers(inventory, options, geometry)
    except NoRoomError:
        pass
    return None


def _attempt(inventory: Inventory, options: Ext4Options, blocks: int) -> tuple[Geometry, Placement]:
    """Lays out a file system of `blocks` blocks; the placement may have a shortfall.

    Raises:
        NoRoomError: the file system's own metadata doesn't fit.
        InodeCountError: the tree needs more inodes than `options.inode_count`.
    """
    inodes = inventory.inodes.last
    if options.inode_count is not None and options.inode_count < inodes:
        raise InodeCountError(
            f"ext4: the tree needs {inodes} inodes, but the inode count is {options.inode_count}; increase it"
        )
    geometry = choose_geometry(options, blocks, inodes)
    return geometry, place_all(inventory, options, geometry)


def _smallest(inventory: Inventory, options: Ext4Options) -> tuple[Geometry, Placement]:
    """Returns the smallest layout that has room for everything.

    Starts from a lower bound. An attempt returns the shortfall in blocks; since a larger file system has no smaller
    tables, at least that many blocks must be added. So the search cannot skip the minimum. The exception: where groups
    are small because of the number of inodes, rounding may make the tables of a larger one smaller by a few blocks.
    """
    inodes = inventory.inodes.last
    blocks = _least_with_tables(options, inodes)
    while True:
        try:
            geometry, placement = _attempt(inventory, options, blocks)
        except NoRoomError:
            blocks += 1
            continue
        if not placement.shortfall:
            return geometry, placement
        blocks = max(blocks + 1, geometry.blocks + placement.shortfall)
        while _usable_blocks(options, blocks, inodes) == geometry.blocks:
            blocks += 1


def _least_with_tables(options: Ext4Options, inodes: int) -> int:
    """Returns the least number of blocks with which a file system has room for its own metadata."""
    wanted = max(inodes, options.inode_count or 0)
    least = wanted * options.inode_size // options.block_size
    step = 1
    while not _usable_blocks(options, least + step, inodes):
        step *= 2
    candidates = range(least, least + step + 1)
    return candidates[bisect_left(candidates, 1, key=lambda blocks: _usable_blocks(options, blocks, inodes))]


def _usable_blocks(options: Ext4Options, blocks: int, inodes: int) -> int:
    """Returns how many of the blocks a file system uses; 0 without room for its own metadata."""
    try:
        geometry = choose_geometry(options, blocks, inodes)
        for index in range(geometry.flex_groups):
            geometry.flex(index)
    except NoRoomError:
        return 0
    return geometry.blocks


def _largest_directories(inventory: Inventory) -> str:
    inodes = inventory.inodes
    sizes: Counter[int] = Counter()
    for row, content in inventory.base_contents():
        sizes[row if isinstance(inodes.nodes[row], Directory) else inodes.parents[row]] += content.data_size
    largest = sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:_MAX_DIRECTORIES_LISTED]
    return ", ".join(f"{inodes.printable_path(row)} ({_human(size)})" for row, size in largest)


def _human(size: int) -> str:
    """Formats a size, in the largest unit in which it is at least 1."""
    unit = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{size / 1024**unit:.1f} {_UNITS[unit]}" if unit else f"{size} bytes"
