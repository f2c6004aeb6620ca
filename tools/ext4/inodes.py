"""The inodes to be written, as rows of a table, and what is known about them before they have a place."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from tools.core.errors import UserError
from tools.ext4.format.constants import FIRST_INODE, ROOT_INODE
from tools.tree.compare import printable
from tools.tree.node import Node

ROOT_ROW, LOST_AND_FOUND_ROW = 0, 1


class Inodes:
    """The inodes of a tree in order of their numbers: the root, lost+found, the rest of the base, then the overlay.

    The table has columns, since a tree may have millions of files: with an object for each inode it would take ten
    times the memory. A row without links is of a node of the base that the overlay replaces; its number stays free.

    Attributes:
        nodes: the nodes of the tree.
        parents: the rows of the directories with their first names; for the root its own row.
        names: their first names.
        links: link counts (i_links_count).
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.parents = array("I")
        self.names: list[bytes] = []
        self.links = array("I")
        self._overlay_numbers = array("I")

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def base(self) -> range:
        """The rows of the base."""
        return range(len(self.nodes) - len(self._overlay_numbers))

    @property
    def overlay(self) -> range:
        """The rows of the overlay."""
        return range(len(self.base), len(self.nodes))

    @property
    def live(self) -> Iterator[int]:
        """The rows with links."""
        return (row for row, links in enumerate(self.links) if links)

    @property
    def last(self) -> int:
        """The highest inode number in use."""
        return self.number(next(row for row in reversed(range(len(self.nodes))) if self.links[row]))

    def add(self, node: Node, parent: int, name: bytes, links: int = 0) -> int:
        """Adds a row for a node of the base, and returns it."""
        self.nodes.append(node)
        self.parents.append(parent)
        self.names.append(name)
        self.links.append(links)
        return len(self.nodes) - 1

    def set_overlay(self, count: int, numbers: Sequence[int]) -> dict[int, int]:
        """Makes the last rows those of the overlay, in order of their numbers; returns the new row for each old one.

        Args:
            count: number of rows of the base; the rows after them are of the overlay.
            numbers: the inode numbers of the overlay's rows, which are higher than those of the base.
        """
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        rows = {count + old: count + new for new, old in enumerate(order)}
        self._overlay_numbers = array("I", (numbers[old] for old in order))
        self.nodes[count:] = [self.nodes[row] for row in rows]
        self.names[count:] = [self.names[row] for row in rows]
        self.links[count:] = array("I", [self.links[row] for row in rows])
        self.parents[count:] = array("I", [rows.get(parent, parent) for parent in map(self.parents.__getitem__, rows)])
        return rows

    def number(self, row: int) -> int:
        """Returns the inode number of a row."""
        base = len(self.nodes) - len(self._overlay_numbers)
        if row >= base:
            return self._overlay_numbers[row - base]
        return FIRST_INODE + row - LOST_AND_FOUND_ROW if row else ROOT_INODE

    def first_row(self, number: int) -> int:
        """Returns the first row with an inode number of `number` or more."""
        if number <= ROOT_INODE:
            return ROOT_ROW
        row = max(number - FIRST_INODE + LOST_AND_FOUND_ROW, LOST_AND_FOUND_ROW)
        return row if row in self.base else len(self.base) + bisect_left(self._overlay_numbers, number)

    def path(self, row: int) -> bytes:
        """Returns the path of a node through its first name, without a leading slash."""
        names = []
        while row != ROOT_ROW:
            names.append(self.names[row])
            row = self.parents[row]
        return b"/".join(reversed(names))

    def printable_path(self, row: int) -> str:
        """Returns the path through the first name, with escapes and a leading slash, for messages."""
        return printable(self.path(row))

    def fault(self, row: int, what: str) -> UserError:
        """Returns an error about a node; the message has its path and the archive that it is from."""
        return _fault(self.path(row), self.nodes[row], what)

    def entry_fault(self, directory: int, name: bytes, node: Node, what: str) -> UserError:
        """Returns an error about a node that has no row, or not by this name."""
        path = self.path(directory)
        return _fault(path + b"/" + name if path else name, node, what)


def _fault(path: bytes, node: Node, what: str) -> UserError:
    origin = f" (from {node.origin})" if node.origin else ""
    return UserError(f"ext4: {printable(path)}{origin}: {what}")
