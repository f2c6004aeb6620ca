"""Tells which files of a tree are secret: those that not every user of the system could read."""

from __future__ import annotations

from collections.abc import Iterator

from tools.tree.node import Directory, File, Node, walk

_OTHERS_READ, _OTHERS_SEARCH = 0o4, 0o1


def is_secret(root: Directory, node: Node) -> bool:
    """Returns whether a file, or any file below a directory, is closed to some users by its mode or its folders'.

    Args:
        root: of the tree.
        node: in the tree.
    """
    readable = {id(each) for each in _readable(root)}
    below = (each for _, each in walk(node)) if isinstance(node, Directory) else [node]
    return any(isinstance(each, File) and id(each) not in readable for each in below)


def _readable(root: Directory) -> Iterator[Node]:
    """Yields the files that users who are neither owner nor in the group can read, by at least one of their names."""
    stack = [root]
    while stack:
        folder = stack.pop()
        if folder.permissions & _OTHERS_SEARCH:
            for child in folder.entries.values():
                if isinstance(child, Directory):
                    stack.append(child)
                elif child.permissions & _OTHERS_READ:
                    yield child
