"""Changes to the metadata of whole trees, so that nothing in them depends on when or by whom they were built."""

from __future__ import annotations

from collections.abc import Iterator

from tools.tree.node import Directory, Node


def all_nodes(root: Directory) -> Iterator[Node]:
    """Yields every node of a tree, those with several names as often; in no particular order."""
    stack: list[Directory] = [root]
    yield root
    while stack:
        for node in stack.pop().entries.values():
            yield node
            if isinstance(node, Directory):
                stack.append(node)


def set_times(root: Directory, mtime_ns: int) -> None:
    """Sets the time of every node, in nanoseconds since the epoch."""
    for node in all_nodes(root):
        node.mtime_ns = mtime_ns


def clamp_times(root: Directory, latest_ns: int) -> None:
    """Sets the time of every node that is later than `latest_ns` to that, as SOURCE_DATE_EPOCH asks for."""
    for node in all_nodes(root):
        node.mtime_ns = min(node.mtime_ns, latest_ns)


def set_owner(root: Directory, uid: int, gid: int) -> None:
    """Gives every node to an owner and a group."""
    for node in all_nodes(root):
        node.uid, node.gid = uid, gid
