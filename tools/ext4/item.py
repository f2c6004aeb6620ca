"""An inode to be written, and what is known about it before it has a place."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.errors import UserError
from tools.ext4.format.inode import POINTER_SIZE
from tools.ext4.format.xattr import PackedAttributes
from tools.image.extents import Image
from tools.tree.compare import printable
from tools.tree.node import Node

_NO_ATTRIBUTES = PackedAttributes(b"", b"")


@dataclass(slots=True, eq=False)
class Item:
    """An inode to be written.

    Attributes:
        node: the node of the tree that it is for.
        number: inode number.
        parent: the directory with its first name; None for the root.
        name: its first name.
        links: link count (i_links_count).
        size: size in bytes (i_size).
        flags: `InodeFlag` values (i_flags).
        pointer: the 60 bytes of i_block, for an inode that needs no blocks.
        content: what is stored in blocks, or None.
        attributes: the packed extended attributes.
        base_blocks: number of blocks that the base has for its content, if the content is not the base's; else None.
    """

    node: Node
    number: int
    parent: Item | None
    name: bytes
    links: int = 1
    size: int = 0
    flags: int = 0
    pointer: bytes = bytes(POINTER_SIZE)
    content: Image | None = None
    attributes: PackedAttributes = _NO_ATTRIBUTES
    base_blocks: int | None = None

    @property
    def names(self) -> bytes:
        """The path through its first name."""
        names = []
        item = self
        while item.parent is not None:
            names.append(item.name)
            item = item.parent
        return b"/".join(reversed(names))

    @property
    def path(self) -> str:
        """The path through its first name, escaped for messages."""
        return printable(self.names)

    def fault(self, what: str) -> UserError:
        """Returns an error about this item; the message has its path and the archive that it is from."""
        origin = f" (from {self.node.origin})" if self.node.origin else ""
        return UserError(f"ext4: {self.path}{origin}: {what}")
