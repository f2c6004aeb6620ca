"""The inodes of a file system, packed when they are read, since all together they take 256 bytes for each file."""

from __future__ import annotations

from dataclasses import dataclass

from tools.ext4.block_placement import Placement
from tools.ext4.format.checksum import file_system_seed
from tools.ext4.format.constants import JOURNAL_INODE, SECTOR, InodeFlag
from tools.ext4.format.inode import Inode, inode_seed, pack_inode_into, seal_inode
from tools.ext4.inventory import Inventory
from tools.ext4.options import Ext4Options
from tools.image.extents import Buffer, Source

_NANOSECONDS = 10**9
_JOURNAL_MODE = 0o100600


class InodeTable:
    """The packed inodes from inode 1 on, as the source of extents."""

    def __init__(self, inventory: Inventory, options: Ext4Options, placement: Placement) -> None:
        """Prepares packing.

        Args:
            inventory: the inodes of the tree.
            options: the file system's parameters.
            placement: where their contents are; complete.
        """
        self._inventory = inventory
        self._options = options
        self._placement = placement
        self._seed = file_system_seed(options.uuid.bytes) if options.metadata_csum else None

    def read(self, offset: int, length: int) -> Buffer:
        """Packs the inodes in a range of the table."""
        size = self._options.inode_size
        first, end = offset // size, -(-(offset + length) // size)
        table = bytearray((end - first) * size)
        inodes = self._inventory.inodes
        for row in range(inodes.first_row(first + 1), inodes.first_row(end + 1)):
            if inodes.links[row]:
                number = inodes.number(row)
                self._pack(table, (number - 1 - first) * size, number, self._inode(row))
        if self._placement.journal and first < JOURNAL_INODE <= end:
            self._pack(table, (JOURNAL_INODE - 1 - first) * size, JOURNAL_INODE, self._journal())
        begin = offset - first * size
        return memoryview(table)[begin : begin + length].toreadonly()

    def advanced(self, offset: int) -> Source:
        return _Part(self, offset)

    def _pack(self, table: bytearray, at: int, number: int, inode: Inode) -> None:
        size = self._options.inode_size
        pack_inode_into(table, at, size, inode)
        if self._seed is not None:
            seal_inode(table, at, size, inode_seed(self._seed, number))

    def _inode(self, row: int) -> Inode:
        inventory, place = self._inventory, self._placement.places[row]
        xattr_block = self._placement.xattr_blocks.get(row, 0)
        blocks = (place.blocks if place else 0) + (xattr_block > 0)
        node = inventory.inodes.nodes[row]
        return Inode(
            mode=node.mode,
            uid=node.uid,
            gid=node.gid,
            size=inventory.size(row),
            mtime_ns=node.mtime_ns,
            links=inventory.inodes.links[row],
            sectors=blocks * (self._options.block_size // SECTOR),
            flags=inventory.flags(row),
            pointer=place.pointer if place else inventory.pointer(row),
            xattr_block=xattr_block,
            tail=inventory.attributes(row).tail,
        )

    def _journal(self) -> Inode:
        journal = self._placement.journal
        assert journal
        return Inode(
            mode=_JOURNAL_MODE,
            uid=0,
            gid=0,
            size=self._placement.journal_blocks * self._options.block_size,
            mtime_ns=self._options.timestamp * _NANOSECONDS,
            links=1,
            sectors=journal.blocks * (self._options.block_size // SECTOR),
            flags=InodeFlag.EXTENTS,
            pointer=journal.pointer,
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """The table from byte `start` on."""

    table: InodeTable
    start: int

    def read(self, offset: int, length: int) -> Buffer:
        return self.table.read(self.start + offset, length)

    def advanced(self, offset: int) -> Source:
        return _Part(self.table, self.start + offset)
