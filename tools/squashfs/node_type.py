"""The types of a tree's nodes, as inodes and directory entries have them."""

from __future__ import annotations

from tools.squashfs.format import InodeType
from tools.tree.node import Device, Directory, Fifo, Node, Socket, Symlink


def type_of(node: Node) -> InodeType:
    """Returns the type of a node."""
    match node:
        case Directory():
            return InodeType.DIRECTORY
        case Symlink():
            return InodeType.SYMLINK
        case Device(block=block):
            return InodeType.BLOCK_DEVICE if block else InodeType.CHARACTER_DEVICE
        case Fifo():
            return InodeType.FIFO
        case Socket():
            return InodeType.SOCKET
    return InodeType.FILE
