"""An inode to be written, and what is known about it before it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tools.squashfs.block_list import BlockList
from tools.squashfs.format import NO_FRAGMENT, NO_XATTRS
from tools.tree.numbering import NumberedNode


@dataclass(slots=True, eq=False)
class Stored:
    """Where the content of files is stored; files with the same content share it.

    Attributes:
        start: offset of the first block in bytes.
        blocks: list of the blocks.
        sparse: number of bytes in holes.
        fragment: number of the block with the end, or `NO_FRAGMENT`.
        offset: of the end in that block, in bytes.
    """

    start: int = 0
    blocks: BlockList = field(default_factory=BlockList)
    sparse: int = 0
    fragment: int = NO_FRAGMENT
    offset: int = 0


@dataclass(slots=True, eq=False)
class Item(NumberedNode):
    """An inode to be written.

    Attributes:
        xattrs: number of its list of extended attributes, or `NO_XATTRS`.
        stored: of a file, where its content is stored; None without content, or until that is stored.
        reference: to the inode; None until it is written.
    """

    system: ClassVar[str] = "squashfs"

    xattrs: int = NO_XATTRS
    stored: Stored | None = None
    reference: int | None = None
