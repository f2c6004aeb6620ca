"""Finding a place for every content in the blocks that the file system's own metadata leaves free."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.ext4.allocate import Allocator, Run, block_numbers
from tools.ext4.format.checksum import file_system_seed
from tools.ext4.format.constants import JOURNAL_INODE
from tools.ext4.format.extent_tree import (
    EMPTY_ROOT,
    MOST_BLOCKS,
    Mapping,
    pack_root,
    pack_single,
    pack_tree,
    split_mappings,
    tree_block_count,
)
from tools.ext4.format.inode import inode_seed
from tools.ext4.format.xattr import MOST_SHARERS, finish_block
from tools.ext4.geometry import Geometry
from tools.ext4.inventory import Item
from tools.ext4.journal import journal_blocks, pack_journal_superblock
from tools.ext4.options import Ext4Options
from tools.image.extents import Data, Extent, Image
from tools.tree.node import File

_ROOT_ENTRIES = 4


@dataclass(slots=True)
class Place:
    """Where an inode's blocks are.

    Attributes:
        pointer: the 60 bytes for the inode.
        blocks: how many blocks it uses, those of its extent tree included.
    """

    pointer: bytes
    blocks: int = 0


@dataclass(slots=True)
class Placement:
    """Where everything is.

    Attributes:
        places: of each item's content, in the items' order.
        xattr_blocks: of each item, the block with its extended attributes, or 0.
        journal: the journal's, if there is one.
        journal_blocks: its length.
        extents: the contents, at their places in the image.
        position: all free blocks below this one are in use, and none from it on.
        used: how many blocks all of this takes.
        missing: how many blocks the file system has too few; if any, all else here is of no use.
    """

    places: list[Place] = field(default_factory=list)
    xattr_blocks: list[int] = field(default_factory=list)
    journal: Place | None = None
    journal_blocks: int = 0
    extents: list[Extent] = field(default_factory=list)
    position: int = 0
    used: int = 0
    missing: int = 0


class _Placer:
    """The state of one attempt."""

    def __init__(self, options: Ext4Options, geometry: Geometry) -> None:
        self.block_size = options.block_size
        self.seed = file_system_seed(options.uuid.bytes) if options.metadata_csum else None
        self.allocator = Allocator(geometry.free_runs(), geometry.blocks)
        self.extents: list[Extent] = []

    def place_content(self, content: Image, inode: int) -> Place:
        """Places what a content has data for; its holes get no blocks."""
        extents = content.extents
        if not extents:
            return Place(EMPTY_ROOT)
        if len(extents) == 1 and not extents[0].offset:
            return self._place_whole(extents[0], inode)
        mappings: list[Mapping] = []
        for start, count in _logical_runs(content, self.block_size):
            mappings += self._spread(content, start, self.allocator.take(count))
        return self._map_blocks(mappings, inode)

    def _place_whole(self, extent: Extent, inode: int) -> Place:
        """Places a content that is one extent without a hole before it, as most are."""
        size = self.block_size
        count = -(-extent.length // size)
        runs = self.allocator.take(count)
        physical = runs[0][0]
        if len(runs) == 1:
            self.extents.append(Extent(physical * size, extent.length, extent.source))
            if count <= MOST_BLOCKS:
                return Place(pack_single(physical, count), count)
            return self._map_blocks([Mapping(0, physical, count)], inode)
        return self._map_blocks(self._spread(Image(extent.end, (extent,)), 0, runs), inode)

    def _spread(self, content: Image, logical: int, runs: list[Run]) -> list[Mapping]:
        """Places the data from a logical block on into runs of blocks."""
        size = self.block_size
        mappings = []
        for physical, length in runs:
            mappings.append(Mapping(logical, physical, length))
            distance = (physical - logical) * size
            parts = content.overlapping(logical * size, (logical + length) * size)
            self.extents += [part.moved(distance) for part in parts]
            logical += length
        return mappings

    def _map_blocks(self, mappings: list[Mapping], inode: int) -> Place:
        """Makes the extent tree of blocks that are placed."""
        used = sum(mapping.length for mapping in mappings)
        pieces = split_mappings(mappings)
        if len(pieces) <= _ROOT_ENTRIES:
            return Place(pack_root(pieces), used)
        blocks = block_numbers(self.allocator.take(tree_block_count(len(pieces), self.block_size)))
        seed = None if self.seed is None else inode_seed(self.seed, inode)
        pointer, nodes = pack_tree(pieces, blocks, self.block_size, seed)
        for block, node in zip(blocks, nodes, strict=True):
            self._place_block(block, node)
        return Place(pointer, used + len(blocks))

    def _place_block(self, block: int, data: bytes) -> None:
        """Puts bytes at the start of a block."""
        self.extents.append(Extent(block * self.block_size, len(data), Data(data)))

    def place_attributes(self, items: list[Item]) -> list[int]:
        """Places blocks of extended attributes, which inodes with the same attributes share; returns each item's."""
        numbers = [0] * len(items)
        sharers: dict[bytes, list[int]] = {}
        for index, item in enumerate(items):
            if item.attributes.block:
                sharers.setdefault(item.attributes.block, []).append(index)
        for content, users in sharers.items():
            for begin in range(0, len(users), MOST_SHARERS):
                part = users[begin : begin + MOST_SHARERS]
                ((block, _),) = self.allocator.take(1)
                self._place_block(block, finish_block(content, len(part), block, self.seed))
                for index in part:
                    numbers[index] = block
        return numbers

    def place_journal(self, blocks: int, uuid: bytes) -> Place:
        """Places an empty journal; all of its blocks are allocated, but only the first has data."""
        superblock = pack_journal_superblock(self.block_size, blocks, uuid)
        content = Image.from_bytes(superblock).resized(blocks * self.block_size)
        return self._map_blocks(self._spread(content, 0, self.allocator.take(blocks)), JOURNAL_INODE)


def place_all(items: list[Item], options: Ext4Options, geometry: Geometry) -> Placement:
    """Places directories, long link targets and extended attributes first, then files in order, the journal last.

    So metadata is together, data is together, and the journal's empty blocks make no hole among them.

    Raises:
        UserError: the size that is asked for the journal cannot be one.
        NoRoomError: the file system is too small for a journal.
    """
    placement = Placement(journal_blocks=journal_blocks(options, geometry.blocks))
    placer = _Placer(options, geometry)
    places = placement.places = [Place(item.pointer) for item in items]
    for is_file in (False, True):
        for index, item in enumerate(items):
            if item.content is not None and isinstance(item.node, File) is is_file:
                places[index] = placer.place_content(item.content, item.number)
        if not is_file:
            placement.xattr_blocks = placer.place_attributes(items)
    if placement.journal_blocks:
        placement.journal = placer.place_journal(placement.journal_blocks, options.uuid.bytes)
    placement.extents = placer.extents
    placement.position = placer.allocator.position
    placement.used = placer.allocator.taken
    placement.missing = placer.allocator.missing
    return placement


def _logical_runs(content: Image, block_size: int) -> list[Run]:
    """Returns the runs of a content's blocks that have data, even if only a part of a block has."""
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
