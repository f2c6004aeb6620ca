"""Assigns inode numbers to the nodes of a tree.

The numbers of the base depend on the base alone: nodes that the overlay replaces keep theirs, unused. The others have
numbers after those of the base, by hashes of their paths, so that one more file leaves the numbers of the others.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import repeat

from tools.ext4.format.constants import FIRST_INODE, LOST_AND_FOUND
from tools.ext4.format.directory import Entry, dirent_type, name_fault
from tools.ext4.inodes import LOST_AND_FOUND_ROW, ROOT_ROW, Inodes
from tools.ext4.options import Ext4Options
from tools.ext4.slots import Claim, key_of, place, stepped
from tools.tree.hard_links import possible_hard_links
from tools.tree.layer import Overlay
from tools.tree.node import Directory, Node

_NANOSECONDS = 10**9
_SPARE_NUMBERS = 256


class Numbering:
    """Numbers the nodes of a tree, and counts their links.

    The numbers of a directory's entries are not kept, since the nodes of the base that it has first have consecutive
    rows, in the order of their names. Only for others, which may have several names, are there rows by node.

    Attributes:
        inodes: the nodes with their numbers and links.
    """

    def __init__(self, root: Directory, options: Ext4Options, overlay: Overlay) -> None:
        """Numbers the nodes of a tree.

        Raises:
            UserError: a name is invalid, or a directory has two names.
        """
        self._changes = overlay
        spare = Directory(permissions=0o700, mtime_ns=options.timestamp * _NANOSECONDS)
        self._lost_and_found = root.entries.get(LOST_AND_FOUND, spare)
        self.inodes = Inodes()
        self.inodes.add(root, ROOT_ROW, b"", links=2)
        self.inodes.add(self._lost_and_found, ROOT_ROW, LOST_AND_FOUND)
        if not isinstance(self._lost_and_found, Directory):
            raise self.inodes.fault(LOST_AND_FOUND_ROW, "this name is reserved for a directory; rename it in the tree")
        replaced = (node for changes in overlay.values() for node in changes.values() if node is not None)
        self._linked = possible_hard_links([root, *replaced])
        self._rows: dict[Node, int] = {root: ROOT_ROW}
        self._find_base()
        if overlay:
            count = len(self.inodes)
            self._find_overlay(count)
            self._number_overlay(count, options)

    def is_changed(self, directory: int) -> bool:
        """Returns whether the overlay changes the entries of a directory of the base."""
        return self.inodes.nodes[directory] in self._changes or (
            directory == LOST_AND_FOUND_ROW and self._is_overlaid(directory)
        )

    def names(self, directory: int) -> list[bytes]:
        """Returns the names of a directory's entries, sorted, without `.` and `..`."""
        return [name for name, _ in self._children(directory)]

    def base_names(self, directory: int) -> list[bytes]:
        """Returns the names of the entries that a directory has in the base."""
        return [name for name, _, _ in self._base_children(directory)]

    def entries(self, directory: int) -> list[Entry]:
        """Returns the entries of a directory, sorted by their names, without `.` and `..`."""
        is_base = directory < len(self._first_children)
        if is_base and not self.is_changed(directory):
            return self.base_entries(directory)
        children = self._children(directory)
        rows = {name: row for name, _, row in self._numbered_base_children(directory)} if is_base else {}
        rows |= {name: self._rows[child] for name, child in children if child in self._rows}
        return [self._entry(name, child, rows[name]) for name, child in children]

    def base_entries(self, directory: int) -> list[Entry]:
        """Returns the entries that a directory has in the base."""
        return [self._entry(name, child, row) for name, child, row in self._numbered_base_children(directory)]

    def _entry(self, name: bytes, child: Node, row: int) -> Entry:
        return Entry(name, self.inodes.number(row), dirent_type(child.file_type))

    def _children(self, directory: int) -> list[tuple[bytes, Node]]:
        entries = self._entries_of(directory)
        if directory == ROOT_ROW:
            entries = {**entries, LOST_AND_FOUND: self._lost_and_found}
        return sorted(entries.items())

    def _is_overlaid(self, row: int) -> bool:
        """Returns whether the first name of a row is an entry of the overlay."""
        parent = self.inodes.nodes[self.inodes.parents[row]]
        return row != ROOT_ROW and self.inodes.names[row] in self._changes.get(parent, ())

    def _base_children(self, directory: int) -> Iterator[tuple[bytes, Node, bool]]:
        """Yields name, node of the base, and whether that node is in the tree, for the entries of a directory."""
        if directory == LOST_AND_FOUND_ROW and self._is_overlaid(directory):
            return
        changes = self._changes.get(self.inodes.nodes[directory])
        is_live = self.inodes.links[directory] > 0
        for name, child in self._children(directory):
            if not changes or name not in changes or child is self._lost_and_found:
                yield name, child, is_live
            elif (replaced := changes[name]) is not None:
                yield name, replaced, False

    def _numbered_base_children(self, directory: int) -> Iterator[tuple[bytes, Node, int]]:
        """Yields name, node and row for the entries that a directory has in the base."""
        following = self._first_children[directory]
        for name, child, _ in self._base_children(directory):
            row = self._rows.get(child, following)
            yield name, child, row
            following += row == following

    def _find_base(self) -> None:
        firsts = self._first_children = array("I", [0, 0])
        stack = [ROOT_ROW]
        while stack:
            directory = stack.pop()
            firsts[directory] = len(self.inodes)
            below = []
            for name, child, is_live in self._base_children(directory):
                row = self._add(directory, name, child, is_live=is_live)
                if row is not None:
                    below.append(row)
            stack += reversed(below)
            firsts.extend(repeat(0, len(self.inodes) - len(firsts)))

    def _find_overlay(self, count: int) -> None:
        """Adds the nodes of the overlay; the base has `count` rows."""
        for directory in range(count):
            changes = self._changes.get(self.inodes.nodes[directory])
            if changes and self.inodes.links[directory]:
                self._find_below(directory, changes.keys() & self._entries_of(directory).keys())

    def _find_below(self, directory: int, names: Iterable[bytes]) -> None:
        """Adds entries of a directory that are from the overlay, and all below them."""
        stack = [(directory, name) for name in sorted(names, reverse=True)]
        while stack:
            parent, name = stack.pop()
            row: int | None = LOST_AND_FOUND_ROW
            if parent != ROOT_ROW or name != LOST_AND_FOUND:
                row = self._add(parent, name, self._entries_of(parent)[name], is_live=True, is_base=False)
            if row is not None:
                stack += [(row, below) for below in sorted(self._entries_of(row), reverse=True)]

    def _add(self, directory: int, name: bytes, child: Node, *, is_live: bool, is_base: bool = True) -> int | None:
        """Adds a name of a node; returns its row if it is a directory.

        Args:
            directory: the row of the directory.
            name: the name of its entry.
            child: the node.
            is_live: whether the entry is in the tree.
            is_base: whether the entry is in the base.
        """
        inodes = self.inodes
        if is_live and (fault := name_fault(name)):
            raise inodes.entry_fault(directory, name, child, fault)
        is_directory = isinstance(child, Directory)
        row = self._rows.get(child)
        if row is None:
            row = self._new_row(directory, name, child, is_base=is_base)
        elif is_directory:
            other = inodes.printable_path(row)
            raise inodes.entry_fault(directory, name, child, f"hard link to the directory {other} is not possible")
        if is_live:
            if not inodes.links[row]:
                inodes.parents[row], inodes.names[row] = directory, name
            inodes.links[row] += 1
            if is_directory:
                inodes.links[row] += 1
                inodes.links[directory] += 1
        return row if is_directory else None

    def _new_row(self, directory: int, name: bytes, child: Node, *, is_base: bool) -> int:
        """Returns the row of a node that has not been found before."""
        if child is self._lost_and_found and directory == ROOT_ROW:
            row = LOST_AND_FOUND_ROW
        else:
            row = self.inodes.add(child, directory, name)
        if row == LOST_AND_FOUND_ROW or not is_base or child in self._linked:
            self._rows[child] = row
        return row

    def _number_overlay(self, first_row: int, options: Ext4Options) -> None:
        """Numbers the overlay: by hashes if the file system has enough inodes, else in order."""
        first = FIRST_INODE + first_row - LOST_AND_FOUND_ROW
        count = len(self.inodes) - first_row
        limit = options.inode_count or options.size // options.inode_ratio
        start, units = stepped(first), stepped(count + count // 4 + _SPARE_NUMBERS)
        claims = [Claim(key_of(self.inodes.path(first_row + index)), 1, index) for index in range(count)]
        placed = place(claims, units) if start + units <= limit else None
        numbers = [0] * count
        for claim, index in placed or [(claim, claim.owner + first - start) for claim in claims]:
            numbers[claim.owner] = start + index
        moved = self.inodes.set_overlay(first_row, numbers)
        self._rows = {node: moved.get(row, row) for node, row in self._rows.items()}

    def _entries_of(self, row: int) -> dict[bytes, Node]:
        node = self.inodes.nodes[row]
        assert isinstance(node, Directory)
        return node.entries
