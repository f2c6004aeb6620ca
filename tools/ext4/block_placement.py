"""Places file contents, directories, extent trees, xattr blocks and the journal in the free blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from mmap import mmap

from tools.ext4.allocate import Allocator, Run, block_numbers
from tools.ext4.format.checksum import file_system_seed
from tools.ext4.format.constants import JOURNAL_INODE
from tools.ext4.format.extent_tree import (
    MAX_BLOCKS,
    ROOT_ENTRIES,
    Mapping,
    pack_root,
    pack_single,
    pack_tree,
    split_mappings,
    tree_block_count,
)
from tools.ext4.format.inode import inode_seed
from tools.ext4.format.xattr import MAX_SHARERS, finish_block
from tools.ext4.geometry import Geometry
from tools.ext4.inventory import Inventory
from tools.ext4.journal import journal_blocks, pack_journal_superblock
from tools.ext4.options import Ext4Options
from tools.image.extents import Data, Extent, Image


@dataclass(frozen=True, slots=True)
class Place:
    """Where the blocks of an inode are.

    Attributes:
        blocks: number of blocks of its content and its extent tree.
        start: the first block, if all are consecutive and one extent suffices for them.
        tree: else the root of the extent tree.
    """

    blocks: int
    start: int = 0
    tree: bytes = b""

    @property
    def pointer(self) -> bytes:
        """The inode's i_block field, 60 bytes: the root of its extent tree."""
        return self.tree or pack_single(self.start, self.blocks)


class Places:
    """The places of inodes by their rows, with few bytes for each: most have one extent.

    Pages of mapped memory that nothing is written to take none, as where all files are empty.
    """

    def __init__(self, rows: int) -> None:
        self._starts = memoryview(mmap(-1, 8 * rows)).cast("Q")
        self._counts = memoryview(mmap(-1, 2 * rows)).cast("H")
        self._others: dict[int, Place] = {}

    def __getitem__(self, row: int) -> Place | None:
        """Returns where the content of an inode is; None if it has no blocks."""
        count = self._counts[row]
        return Place(count, self._starts[row]) if count else self._others.get(row)

    def __setitem__(self, row: int, place: Place | None) -> None:
        if place is None:
            return
        if place.tree:
            self._others[row] = place
        else:
            self._starts[row], self._counts[row] = place.start, place.blocks


@dataclass(slots=True)
class Placement:
    """Where everything that isn't fixed by the geometry is.

    Attributes:
        places: where contents are.
        xattr_blocks: the number of the block with its extended attributes, by the rows of the inodes that have one.
        journal: where the journal is, or None without a journal.
        journal_blocks: length of the journal, in blocks.
        extents: the placed contents, with offsets in the image.
        position: number of a block; free blocks below it are in use, except for `freed`.
        freed: the runs of blocks below `position` that stay free.
        apart: the runs of blocks from `position` on that are in use.
        used: number of allocated blocks.
        shortfall: by how many blocks the file system is too small; if it isn't 0, the other fields are invalid.
    """

    places: Places
    xattr_blocks: dict[int, int] = field(default_factory=dict)
    journal: Place | None = None
    journal_blocks: int = 0
    extents: list[Extent] = field(default_factory=list)
    position: int = 0
    freed: list[Run] = field(default_factory=list)
    apart: list[Run] = field(default_factory=list)
    used: int = 0
    shortfall: int = 0


class Placer:
    """Places contents in the blocks of allocators.

    Attributes:
        extents: the placed contents so far, with offsets in the image.
    """

    def __init__(self, options: Ext4Options) -> None:
        self.block_size = options.block_size
        self.seed = file_system_seed(options.uuid.bytes) if options.metadata_csum else None
        self.extents: list[Extent] = []

    def place_content(self, content: Image, inode: int, allocator: Allocator) -> Place | None:
        """Places the data of a content, and its extent tree; holes get no blocks. Returns None if it has no data."""
        extents = content.extents
        if not extents:
            return None
        if len(extents) == 1 and not extents[0].offset:
            return self._place_whole(extents[0], inode, allocator)
        mappings: list[Mapping] = []
        for start, count in logical_runs(content, self.block_size):
            mappings += self._spread(content, start, allocator.take(count))
        return self._map_blocks(mappings, inode, allocator)

    def _place_whole(self, extent: Extent, inode: int, allocator: Allocator) -> Place:
        """Places a content that consists of one extent at offset 0, as most do."""
        size = self.block_size
        count = -(-extent.length // size)
        runs = allocator.take(count)
        physical = runs[0][0]
        if len(runs) == 1:
            self.extents.append(Extent(physical * size, extent.length, extent.source))
            if count <= MAX_BLOCKS:
                return Place(count, physical)
            return self._map_blocks([Mapping(0, physical, count)], inode, allocator)
        return self._map_blocks(self._spread(Image(extent.end, (extent,)), 0, runs), inode, allocator)

    def _spread(self, content: Image, logical: int, runs: list[Run]) -> list[Mapping]:
        """Places a content's data, from logical block `logical` on, in `runs`; returns the mappings."""
        size = self.block_size
        mappings = []
        for physical, length in runs:
            mappings.append(Mapping(logical, physical, length))
            distance = (physical - logical) * size
            parts = content.overlapping(logical * size, (logical + length) * size)
            self.extents += [part.moved(distance) for part in parts]
            logical += length
        return mappings

    def _map_blocks(self, mappings: list[Mapping], inode: int, allocator: Allocator) -> Place:
        """Builds the extent tree over the mappings, and places the tree's own blocks."""
        used = sum(mapping.length for mapping in mappings)
        pieces = split_mappings(mappings)
        if len(pieces) <= ROOT_ENTRIES:
            return Place(used, tree=pack_root(pieces))
        blocks = block_numbers(allocator.take(tree_block_count(len(pieces), self.block_size)))
        seed = None if self.seed is None else inode_seed(self.seed, inode)
        pointer, nodes = pack_tree(pieces, blocks, self.block_size, seed)
        for block, node in zip(blocks, nodes, strict=True):
            self._place_block(block, node)
        return Place(used + len(blocks), tree=pointer)

    def _place_block(self, block: int, data: bytes) -> None:
        """Adds an extent with `data` at the start of a block."""
        self.extents.append(Extent(block * self.block_size, len(data), Data(data)))

    def place_attributes(self, block: int, content: bytes, users: int) -> None:
        """Places an xattr block that a number of inodes share."""
        self._place_block(block, finish_block(content, users, block, self.seed))

    def place_journal(self, blocks: int, uuid: bytes, allocator: Allocator) -> Place:
        """Places an empty journal: all its blocks are allocated, but only the first has data."""
        superblock = pack_journal_superblock(self.block_size, blocks, uuid)
        content = Image.from_bytes(superblock).resized(blocks * self.block_size)
        return self._map_blocks(self._spread(content, 0, allocator.take(blocks)), JOURNAL_INODE, allocator)


def shared_attributes(inventory: Inventory) -> Iterator[tuple[bytes, list[int]]]:
    """Yields each xattr block that is needed: its content, and the rows of the inodes that share it."""
    sharers: dict[bytes, list[int]] = {}
    for row in inventory.inodes.live if inventory.has_attribute_blocks else ():
        if block := inventory.attributes(row).block:
            sharers.setdefault(block, []).append(row)
    for content, users in sharers.items():
        for begin in range(0, len(users), MAX_SHARERS):
            yield content, users[begin : begin + MAX_SHARERS]


def place_all(inventory: Inventory, options: Ext4Options, geometry: Geometry) -> Placement:
    """Places directories and long symlink targets first, then files in order, the journal, and xattr blocks.

    So directories are contiguous, and so is data.

    Args:
        inventory: of a tree without an overlay.
        options: the file system's parameters.
        geometry: its geometry.

    Raises:
        UserError: the requested size of the journal is out of range.
        NoRoomError: the file system is too small for a journal.
    """
    inodes = inventory.inodes
    placement = Placement(Places(len(inodes)), journal_blocks=journal_blocks(options, geometry.blocks))
    placer = Placer(options)
    allocator = Allocator(geometry.free_runs(), geometry.blocks)
    for row, content in inventory.base_contents():
        placement.places[row] = placer.place_content(content, inodes.number(row), allocator)
    if placement.journal_blocks:
        placement.journal = placer.place_journal(placement.journal_blocks, options.uuid.bytes, allocator)
    for attributes, users in shared_attributes(inventory):
        ((block, _),) = allocator.take(1)
        placer.place_attributes(block, attributes, len(users))
        for row in users:
            placement.xattr_blocks[row] = block
    placement.extents = placer.extents
    placement.position = allocator.position
    placement.used = allocator.taken
    placement.shortfall = allocator.shortfall
    return placement


def logical_runs(content: Image, block_size: int) -> list[Run]:
    """Returns the runs of logical blocks that hold data, including blocks that are only partly data."""
    runs: list[Run] = []
    end = -1
    for extent in content.extents:
        begin = extent.offset // block_size
        after = -(-extent.end // block_size)
        if begin <= end:
            start = runs.pop()[0]
            runs.append((start, after - start))
        else:
            runs.append((begin, after - begin))
        end = after
    return runs
