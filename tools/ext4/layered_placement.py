"""Places the contents of a base and of what is laid over it, such that a change moves few blocks.

The place of a base file depends on the base and the geometry alone; the blocks of files that the overlay replaces stay
free. Each content of the overlay has a slot after the base, which depends on its path: small contents in the first
quarter of the free blocks, larger ones behind it.

Blocks are counted here without those of fixed metadata: block N is the free block with N free blocks before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from tools.ext4.allocate import Allocator, Run
from tools.ext4.block_placement import Placement, Placer, Places, logical_runs, shared_attributes
from tools.ext4.format.extent_tree import MAX_BLOCKS, ROOT_ENTRIES, tree_block_count
from tools.ext4.geometry import Geometry, NoRoomError
from tools.ext4.inventory import Inventory
from tools.ext4.journal import journal_blocks
from tools.ext4.options import Ext4Options
from tools.ext4.slots import Claim, key_of, place, stepped
from tools.image.extents import Image

_SMALL_UNIT, _LARGE_UNIT = 4, 64
"""Small contents have slots of a multiple of 4 blocks, those of more than 64 blocks of a multiple of 64."""

_ROOM = 16
"""How many times the size of all slots the range for them is, so that few collide; if possible."""

_LEAST_ROOM = 2
_SMALL_UNITS, _LARGE_UNITS = 1 << 12, 1 << 20
"""Number of units of the ranges, if that is enough."""

_SMALL_SHARE = 4


@dataclass(frozen=True, slots=True)
class _Job:
    """A content of the overlay that needs a slot.

    Attributes:
        key: the hash of its name.
        blocks: number of blocks that it needs at most, besides `first`.
        first: blocks of the base that it has already.
        place: places it in the blocks of an allocator.
    """

    key: int
    blocks: int
    first: Run
    place: Callable[[Allocator], None]


class _FreeBlocks:
    """The free blocks of an empty file system, counted from 0."""

    def __init__(self, geometry: Geometry) -> None:
        self._runs = list(geometry.free_runs())
        self._starts = [0, *accumulate(count for _, count in self._runs)]
        self.count = self._starts.pop()

    def runs(self, start: int, count: int) -> list[Run]:
        """Returns the real block numbers of `count` free blocks."""
        found = []
        index = bisect_right(self._starts, start) - 1
        while count:
            block, length = self._runs[index]
            skipped = start - self._starts[index]
            part = min(count, length - skipped)
            if part:
                found.append((block + skipped, part))
            start, count, index = start + part, count - part, index + 1
        return found


def place_layers(inventory: Inventory, options: Ext4Options, geometry: Geometry) -> Placement:
    """Places the base in order, as `place_all` does, then the journal, then the overlay in slots.

    Raises:
        UserError: the requested size of the journal is out of range.
        NoRoomError: the file system is too small for that.
    """
    layers = _Layers(inventory, options, geometry)
    layers.place_base()
    placement = layers.placement
    if placement.journal_blocks:
        blocks, uuid = placement.journal_blocks, options.uuid.bytes
        placement.journal = layers.placer.place_journal(blocks, uuid, layers.allocator)
        placement.used += placement.journal.blocks
    if layers.allocator.shortfall:
        raise NoRoomError
    layers.add_jobs()
    layers.place_jobs()
    placement.extents = layers.placer.extents
    placement.position = layers.allocator.position
    return placement


class _Layers:
    """What has been placed so far, and what has to be placed yet."""

    def __init__(self, inventory: Inventory, options: Ext4Options, geometry: Geometry) -> None:
        self.inventory = inventory
        self.geometry = geometry
        self.placer = Placer(options)
        self.allocator = Allocator(geometry.free_runs(), geometry.blocks)
        self.inodes = inventory.inodes
        self.placement = Placement(
            places=Places(len(self.inodes)),
            journal_blocks=journal_blocks(options, geometry.blocks),
        )
        self.free = _FreeBlocks(geometry)
        self.jobs: list[_Job] = []

    def place_base(self) -> None:
        """Places directories and links of the base, then its files."""
        for row, content in self.inventory.base_contents():
            self._place_base_content(row, content)

    def _place_base_content(self, row: int, content: Image) -> None:
        start, placed = self.allocator.taken, len(self.placer.extents)
        is_live = self.inodes.links[row] > 0
        if is_live and (base_blocks := self.inventory.base_blocks.get(row)) is not None:
            self.allocator.take(base_blocks)
            self._add_job(row, content, (start, base_blocks))
            return
        found = self.placer.place_content(content, self.inodes.number(row), self.allocator)
        if is_live:
            self.placement.places[row] = found
            self.placement.used += self.allocator.taken - start
        else:
            del self.placer.extents[placed:]
            self._set_free(start, self.allocator.taken - start)

    def _set_free(self, start: int, count: int) -> None:
        self.placement.freed += self.free.runs(start, count)

    def add_jobs(self) -> None:
        """Adds a job for each content of the overlay, and for each xattr block."""
        xattr_blocks = self.placement.xattr_blocks
        for row in self.inodes.overlay:
            content = self.inventory.content(row)
            if content is not None and content.extents:
                self._add_job(row, content, (0, 0))
        for attributes, users in shared_attributes(self.inventory):

            def put(allocator: Allocator, attributes: bytes = attributes, users: list[int] = users) -> None:
                ((block, _),) = allocator.take(1)
                self.placer.place_attributes(block, attributes, len(users))
                for row in users:
                    xattr_blocks[row] = block

            self.jobs.append(_Job(key_of(attributes), 1, (0, 0), put))

    def _add_job(self, row: int, content: Image, first: Run) -> None:
        """Adds a job for a content that has the blocks `first` of the base."""

        def put(allocator: Allocator) -> None:
            number = self.inodes.number(row)
            self.placement.places[row] = self.placer.place_content(content, number, allocator)

        blocks = max(_most_blocks(content, self.placer.block_size) - first[1], 0)
        self.jobs.append(_Job(key_of(self.inodes.path(row)), blocks, first, put))

    def place_jobs(self) -> None:
        """Places all jobs.

        Raises:
            NoRoomError: the range for them is too small.
        """
        jobs = self.jobs
        start = stepped(self.allocator.taken)
        room = max(self.free.count - start, 0)
        share = room // _SMALL_SHARE
        for job in jobs:
            if not job.blocks:
                self._run(job, 0)
        small = [job for job in jobs if 0 < job.blocks <= _LARGE_UNIT]
        large = [job for job in jobs if job.blocks > _LARGE_UNIT]
        self._place_some(small, _SMALL_UNIT, start, share // _SMALL_UNIT, _SMALL_UNITS)
        self._place_some(large, _LARGE_UNIT, start + share, (room - share) // _LARGE_UNIT, _LARGE_UNITS)

    def _place_some(self, jobs: list[_Job], unit: int, start: int, most: int, usual: int) -> None:
        """Places jobs in a range.

        Args:
            jobs: the jobs.
            unit: number of blocks of a unit; slots start at multiples of it.
            start: the first block of the range.
            most: number of units of the range at most.
            usual: number of units if that is enough.

        Raises:
            NoRoomError: the range is too small.
        """
        claims = [Claim(job.key, -(-job.blocks // unit), index) for index, job in enumerate(jobs)]
        needed = sum(claim.slot_size for claim in claims)
        units = min(max(stepped(needed * _ROOM), usual), most)
        placed = place(claims, units) if needed * _LEAST_ROOM <= units else None
        if placed is None:
            raise NoRoomError
        for claim, slot in placed:
            self._run(jobs[claim.owner], start + slot * unit)

    def _run(self, job: _Job, slot: int) -> None:
        """Places a job in its blocks of the base and in a slot.

        Raises:
            NoRoomError: metadata of groups divides the slot so often that the extent tree needs more blocks.
        """
        first, count = job.first
        runs = self.free.runs(first, count) + self.free.runs(slot, job.blocks)
        allocator = Allocator(runs, self.geometry.blocks)
        job.place(allocator)
        used = allocator.taken
        if used > count + job.blocks:
            raise NoRoomError
        self._set_free(first + min(used, count), max(count - used, 0))
        self.placement.apart += self.free.runs(slot, max(used - count, 0))
        self.placement.used += used


def _most_blocks(content: Image, block_size: int) -> int:
    """Returns how many blocks a content and its extent tree need in a slot, unless it is divided unusually often.

    Metadata of groups divides a slot about once in 32768 blocks.
    """
    runs = logical_runs(content, block_size)
    blocks = sum(count for _, count in runs)
    pieces = len(runs) + 2 * (blocks // MAX_BLOCKS) + 2
    return blocks + (tree_block_count(pieces, block_size) if pieces > ROOT_ENTRIES else 0)
