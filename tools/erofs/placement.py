"""Places inodes and contents.

Inodes with what follows them, up to a block, are within one block: the kernel wants the tail of a file in one block.
Each goes where the least room is left that is enough for it. Contents follow, in the order of the inodes.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.errors import UserError
from tools.erofs.format import BLOCK_SIZE, NULL_ADDRESS, SLOT_SIZE
from tools.erofs.inventory import Inventory
from tools.erofs.item import Item
from tools.tree.node import Directory

_SLOTS = BLOCK_SIZE // SLOT_SIZE


class _Rooms:
    """The blocks of inodes, and the room that is left in them; both count in slots.

    Attributes:
        blocks: number of blocks.
    """

    def __init__(self) -> None:
        self.blocks = 0
        self._by_room: list[list[int]] = [[] for _ in range(_SLOTS + 1)]
        self._rooms = 0  # bit N: there is a block with room for N slots

    def take(self, size: int) -> int:
        """Returns the slot from which on `size` bytes are reserved."""
        need = -(-size // SLOT_SIZE)
        found = self._rooms >> need << need if need <= _SLOTS else 0
        if not found:
            first = self.blocks * _SLOTS
            self.blocks += -(-need // _SLOTS)
            self._add(first + need, self.blocks * _SLOTS - first - need)
            return first
        room = (found & -found).bit_length() - 1
        slot = self._by_room[room].pop()
        if not self._by_room[room]:
            self._rooms &= ~(1 << room)
        self._add(slot + need, room - need)
        return slot

    def _add(self, slot: int, room: int) -> None:
        if room:
            self._by_room[room].append(slot)
            self._rooms |= 1 << room


@dataclass(frozen=True, slots=True)
class Placement:
    """Where things are.

    Attributes:
        first_block: the first block of inodes; before it are superblock and shared attributes.
        metadata_block: the block that numbers of inodes count from. It is the one before the first, so that no inode
            has the number 0, and the root's has 16 bits.
        blocks: number of blocks that are needed.
    """

    first_block: int
    metadata_block: int
    blocks: int


def place(inventory: Inventory, first_block: int) -> Placement:
    """Sets the numbers and block addresses of all items.

    Args:
        inventory: the items; the root is the first.
        first_block: the first block that is free, at least 1.

    Raises:
        UserError: they need more blocks than EROFS can have.
    """
    rooms = _Rooms()
    for item in inventory.items:
        item.nid = rooms.take(item.metadata_size) + _SLOTS
    block = first_block + rooms.blocks
    for item in _content_order(inventory.items):
        if item.blocks:
            item.block = block
            block += item.blocks
    if block >= NULL_ADDRESS:
        raise UserError(
            f"erofs: the tree needs {block} blocks of {BLOCK_SIZE} bytes, but there can be {NULL_ADDRESS - 1}"
        )
    return Placement(first_block, first_block - 1, block)


def _content_order(items: list[Item]) -> list[Item]:
    """Returns directories before all others, so that they can be read at once."""
    return sorted(items, key=lambda item: not isinstance(item.node, Directory))
