"""Lists the inodes of a tree, and checks that each can be stored."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.errors import UserError
from tools.squashfs.item import Item
from tools.squashfs.options import SquashfsOptions
from tools.tree.node import Device, Directory, File, Node, Symlink
from tools.tree.numbering import number_nodes

_MAX_ID = 2**32 - 1
_MAX_IDS = 2**16 - 1
_MAX_PERMISSIONS = 0o7777
_MAX_MAJOR, _MAX_MINOR = 2**12 - 1, 2**20 - 1
_MAX_TARGET = 4095
"""The longest target that the kernel reads: with a NUL it has to fit in a page."""

_MAX_BLOCKS = 2**24
"""Blocks of a file: with the usual block size a file has at most 2 TiB, as "Max file size" in squashfs.rst says."""

_SECOND = 10**9
_TIMES = (0, 2**32 * _SECOND)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The inodes of a tree.

    Attributes:
        items: the inodes. The children of a directory follow one another, and directories follow as a walk finds them.
        index: the item of each node.
        ids: the user and group IDs, in order, with their indexes.
    """

    items: list[Item]
    index: dict[Node, Item]
    ids: dict[int, int]


def take_inventory(root: Directory, options: SquashfsOptions) -> Inventory:
    """Returns the inodes of a tree.

    Raises:
        UserError: SquashFS cannot hold something in the tree; names its path.
    """
    index = number_nodes(root, Item)
    items = list(index.values())
    for item in items:
        _check(item, options)
    ids = sorted({item.node.uid for item in items} | {item.node.gid for item in items})
    if len(ids) > _MAX_IDS:
        raise UserError(f"squashfs: the tree has {len(ids)} different owners and groups; there can be {_MAX_IDS}")
    return Inventory(items, index, {each: number for number, each in enumerate(ids)})


def _check(item: Item, options: SquashfsOptions) -> None:
    """Raises a `UserError` if a value is out of the range of the inode's field."""
    node = item.node
    if not (0 <= node.uid <= _MAX_ID and 0 <= node.gid <= _MAX_ID):
        raise item.fault(f"owner {node.uid}:{node.gid} is not between 0 and {_MAX_ID}")
    if not 0 <= node.permissions <= _MAX_PERMISSIONS:
        raise item.fault(f"permissions {node.permissions:#o} are more than {_MAX_PERMISSIONS:#o}")
    if not _TIMES[0] <= node.mtime_ns < _TIMES[1]:
        raise item.fault(f"time {node.mtime_ns // _SECOND} is not between 0 and {_MAX_ID}, from 1970 to 2106")
    match node:
        case Device() if not (0 <= node.major <= _MAX_MAJOR and 0 <= node.minor <= _MAX_MINOR):
            raise item.fault(f"device number {node.major}:{node.minor} is more than {_MAX_MAJOR}:{_MAX_MINOR}")
        case Symlink() if not node.target or b"\0" in node.target:
            raise item.fault("a symbolic link's target is empty or has a NUL")
        case Symlink() if len(node.target) > _MAX_TARGET:
            raise item.fault(f"a symbolic link's target of {len(node.target)} bytes is longer than {_MAX_TARGET}")
        case File() if node.content.size > _MAX_BLOCKS * options.block_size:
            most = _MAX_BLOCKS * options.block_size
            raise item.fault(f"size of {node.content.size} bytes is more than {most}, which larger blocks would raise")
