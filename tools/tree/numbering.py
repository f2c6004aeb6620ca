"""Numbers the nodes of a tree and counts their links, for file systems with inodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from tools.core.errors import UserError
from tools.tree.compare import printable
from tools.tree.node import NAME_MAX, Directory, Node


@dataclass(slots=True, eq=False)
class NumberedNode:
    """A node that becomes an inode.

    Attributes:
        system: name of the file system in messages.
        node: the node of the tree.
        number: 1 for the root, and so on.
        parent: the directory with its first name; None for the root.
        name: its first name.
        links: link count.
    """

    system: ClassVar[str] = ""

    node: Node
    number: int
    parent: NumberedNode | None
    name: bytes
    links: int = 1

    def fault(self, what: str) -> UserError:
        """Returns an error about this node; the message has its path and where it is from."""
        names = []
        item: NumberedNode = self
        while item.parent is not None:
            names.append(item.name)
            item = item.parent
        origin = f" (from {self.node.origin})" if self.node.origin else ""
        return UserError(f"{self.system}: {printable(b'/'.join(reversed(names)))}{origin}: {what}")


_Item = TypeVar("_Item", bound=NumberedNode)


def number_nodes(root: Directory, kind: type[_Item]) -> dict[Node, _Item]:
    """Returns the nodes of a tree with their numbers and link counts, in the order of the numbers.

    The children of a directory follow one another, and directories follow as a walk finds them.

    Args:
        root: of the tree.
        kind: what to make of each node.

    Raises:
        UserError: a name cannot be stored, or a directory has two of them.
    """
    top = kind(root, 1, None, b"", links=2)
    index: dict[Node, _Item] = {root: top}
    stack = [(top, root)]
    while stack:
        parent, directory = stack.pop()
        below = []
        for name, node in directory.sorted_entries():
            item = index.get(node)
            if item is None:
                item = index[node] = kind(node, len(index) + 1, parent, name)
            elif isinstance(node, Directory):
                raise kind(node, 0, parent, name).fault("hard link to a directory is not possible")
            else:
                item.links += 1
            if fault := reserved_fault(name) or name_fault(name):
                raise kind(node, 0, parent, name).fault(fault)
            if isinstance(node, Directory):
                item.links += 1
                parent.links += 1
                below.append((item, node))
        stack += reversed(below)
    return index


def reserved_fault(name: bytes) -> str:
    """Describes why a name is not for a file; returns an empty string if it is neither `.` nor `..`."""
    return "name is reserved for a directory itself or its parent" if name in (b".", b"..") else ""


def name_fault(name: bytes) -> str:
    """Describes why bytes are no valid name in a directory; returns an empty string if they are one."""
    if not name:
        return "name is empty"
    if len(name) > NAME_MAX:
        return f"name of {len(name)} bytes is longer than {NAME_MAX}"
    if b"/" in name or b"\0" in name:
        return "name has a slash or a NUL"
    return ""
