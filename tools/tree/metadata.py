"""Sets times and owners of whole trees, so that they don't depend on when and by whom they were built."""

from __future__ import annotations

from collections.abc import Iterator

from tools.tree.node import Directory, Node


def all_nodes(root: Directory) -> Iterator[Node]:
    """Yields every node of a tree, once for each of its names, in no particular order."""
    stack: list[Directory] = [root]
    yield root
    while stack:
        for node in stack.pop().entries.values():
            yield node
            if isinstance(node, Directory):
                stack.append(node)


def set_times(root: Directory, mtime_ns: int) -> None:
    """Sets the modification time of every node, in nanoseconds since the epoch."""
    for node in all_nodes(root):
        node.mtime_ns = mtime_ns


def clamp_times(root: Directory, latest_ns: int) -> None:
    """Limits the modification time of every node to `latest_ns`, as the specification of SOURCE_DATE_EPOCH demands."""
    for node in all_nodes(root):
        node.mtime_ns = min(node.mtime_ns, latest_ns)


def set_owner(root: Directory, uid: int, gid: int) -> None:
    """Sets the user and group ID of every node."""
    for node in all_nodes(root):
        node.uid, node.gid = uid, gid
