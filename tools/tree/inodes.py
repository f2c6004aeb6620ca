"""Builds the tree of a file system whose directories have names and numbers of inodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tools.core.errors import UserError
from tools.tree.compare import printable
from tools.tree.node import Directory, Node

_LONGEST_PATH = 1 << 16
"""In bytes. Linux opens paths of up to 4096 bytes; tools that walk the tree build longer ones."""

_Inode = TypeVar("_Inode")


def read_tree(
    number: int,
    *,
    entries_of: Callable[[bytes, int, _Inode], Iterable[tuple[bytes, int, int]]],
    inode_of: Callable[[int], _Inode],
    node_of: Callable[[int, _Inode], Node],
    damage: Callable[[str], UserError],
    type_of: Callable[[Node], int] | None = None,
) -> Directory:
    """Returns the tree of a file system. An inode with several names, a hard link, is one node.

    Args:
        number: number of the root's inode.
        entries_of: returns the entries of a directory, without `.` and `..`: name, number of the inode, and type. It
            gets the directory's path, for messages, and its inode with the number.
        inode_of: returns the inode with a number.
        node_of: returns the node for an inode and its number, directories without entries.
        damage: returns the error for an invalid structure, which its argument describes.
        type_of: returns the type that each entry of a node has to have; by default types are not compared.

    Raises:
        UserError: the tree is damaged, or its paths are too long.
    """
    inode = inode_of(number)
    root = node_of(number, inode)
    if not isinstance(root, Directory):
        raise damage("the root is not a directory")
    nodes: dict[int, Node] = {number: root}
    # A directory is kept by the path above it and its name, so that siblings share the path, which may be long.
    stack: list[tuple[bytes, bytes, Directory, int, _Inode]] = [(b"", b"", root, number, inode)]
    while stack:
        above, own_name, directory, number, inode = stack.pop()
        path = above + b"/" + own_name if above else own_name
        for name, target, kind in entries_of(path, number, inode):
            below = path + b"/" + name if path else name
            if len(below) > _LONGEST_PATH:
                raise damage(f"directories are nested deeper than paths of {_LONGEST_PATH} bytes")
            if name in directory.entries:
                raise damage(f"{printable(below)} occurs twice in its directory")
            node = nodes.get(target)
            if node is None:
                child = inode_of(target)
                node = nodes[target] = node_of(target, child)
                if isinstance(node, Directory):
                    stack.append((path, name, node, target, child))
            elif isinstance(node, Directory):
                raise damage(f"{printable(below)} is a hard link to a directory")
            if type_of is not None and kind != type_of(node):
                raise damage(f"{printable(below)} has the type {kind} in its directory, but its inode is of another")
            directory.entries[name] = node
    return root
