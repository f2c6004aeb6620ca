"""Assigns inode numbers to the nodes of a tree.

The numbers of the base depend on the base alone: nodes that the overlay replaces keep theirs, unused. The others have
numbers after those of the base, by hashes of their paths, so that one more file leaves the numbers of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tools.ext4.format.constants import FIRST_INODE, LOST_AND_FOUND, ROOT_INODE
from tools.ext4.format.directory import Entry, dirent_type, name_fault
from tools.ext4.item import Item
from tools.ext4.options import Ext4Options
from tools.ext4.slots import Claim, key_of, place, stepped
from tools.tree.layer import Overlay
from tools.tree.node import Directory, Node

_NANOSECONDS = 10**9
_SPARE_NUMBERS = 256


class Numbering:
    """The items of a tree, with inode numbers and link counts.

    Attributes:
        base: the items of the base in order of their numbers, the root and lost+found first. Those without links are
            nodes that the overlay replaces.
        overlay: the other items, in order of their numbers.
    """

    def __init__(self, root: Directory, options: Ext4Options, overlay: Overlay) -> None:
        """Numbers the nodes of a tree.

        Raises:
            UserError: a name is invalid, or a directory has two names.
        """
        self._changes = overlay
        top = Item(root, ROOT_INODE, None, b"", links=2)
        spare = Directory(permissions=0o700, mtime_ns=options.timestamp * _NANOSECONDS)
        self._lost_and_found = Item(root.entries.get(LOST_AND_FOUND, spare), FIRST_INODE, top, LOST_AND_FOUND, links=0)
        if not isinstance(self._lost_and_found.node, Directory):
            raise self._lost_and_found.fault("this name is reserved for a directory; rename it in the tree")
        self._items: dict[Node, Item] = {root: top}
        self.base = [top, self._lost_and_found]
        self.overlay: list[Item] = []
        self._find_base()
        if overlay:
            self._find_overlay()
            self._number_overlay(options)

    def is_changed(self, item: Item) -> bool:
        """Returns whether the overlay changes the entries of a directory of the base."""
        return item.node in self._changes or (item is self._lost_and_found and self._is_overlaid(item))

    def entries(self, item: Item) -> list[Entry]:
        """Returns the entries of a directory, sorted by their names, without `.` and `..`."""
        return self._packed(self._children(item))

    def base_entries(self, item: Item) -> list[Entry]:
        """Returns the entries that a directory has in the base."""
        return self._packed([(name, child) for name, child, _ in self._base_children(item)])

    def _packed(self, children: list[tuple[bytes, Node]]) -> list[Entry]:
        items = self._items
        return [Entry(name, items[child].number, dirent_type(child.file_type)) for name, child in children]

    def _children(self, item: Item) -> list[tuple[bytes, Node]]:
        entries = _entries_of(item)
        if item is self.base[0]:
            entries = {**entries, LOST_AND_FOUND: self._lost_and_found.node}
        return sorted(entries.items())

    def _is_overlaid(self, item: Item) -> bool:
        """Returns whether an item's first name is an entry of the overlay."""
        return item.parent is not None and item.name in self._changes.get(item.parent.node, ())

    def _base_children(self, item: Item) -> Iterator[tuple[bytes, Node, bool]]:
        """Yields name, node of the base, and whether that node is in the tree, for the entries of a directory."""
        if item is self._lost_and_found and self._is_overlaid(item):
            return
        changes = self._changes.get(item.node)
        is_live = item.links > 0
        for name, child in self._children(item):
            if not changes or name not in changes or child is self._lost_and_found.node:
                yield name, child, is_live
            elif (replaced := changes[name]) is not None:
                yield name, replaced, False

    def _find_base(self) -> None:
        stack = [self.base[0]]
        while stack:
            directory = stack.pop()
            below = []
            for name, child, is_live in self._base_children(directory):
                item = self._add(directory, name, child, self.base, is_live=is_live)
                if item is not None:
                    below.append(item)
            stack += reversed(below)

    def _find_overlay(self) -> None:
        for directory in list(self.base):
            changes = self._changes.get(directory.node)
            if changes and directory.links:
                self._find_below(directory, changes.keys() & _entries_of(directory).keys())

    def _find_below(self, directory: Item, names: Iterable[bytes]) -> None:
        """Adds entries of a directory that are from the overlay, and all below them."""
        stack = [(directory, name) for name in sorted(names, reverse=True)]
        while stack:
            parent, name = stack.pop()
            child = _entries_of(parent)[name]
            item: Item | None = self._lost_and_found
            if parent is not self.base[0] or name != LOST_AND_FOUND:
                item = self._add(parent, name, child, self.overlay, is_live=True)
            if item is not None:
                stack += [(item, below) for below in sorted(_entries_of(item), reverse=True)]

    def _add(self, directory: Item, name: bytes, child: Node, items: list[Item], *, is_live: bool) -> Item | None:
        """Adds a name of a node; returns its item if it is a directory.

        Args:
            directory: the item of the directory.
            name: the name of its entry.
            child: the node.
            items: the list that a new item is added to.
            is_live: whether the entry is in the tree.
        """
        if is_live and (fault := name_fault(name)):
            raise Item(child, 0, directory, name).fault(fault)
        item = self._items.get(child)
        is_directory = isinstance(child, Directory)
        if item is None:
            if child is self._lost_and_found.node and directory is self.base[0]:
                item = self._lost_and_found
            else:
                item = Item(child, FIRST_INODE + len(items) - 1, directory, name, links=0)
                items.append(item)
            self._items[child] = item
        elif is_directory:
            raise Item(child, 0, directory, name).fault(f"hard link to the directory {item.path} is not possible")
        if is_live:
            if not item.links:
                item.parent, item.name = directory, name
            item.links += 1
            if is_directory:
                item.links += 1
                directory.links += 1
        return item if is_directory else None

    def _number_overlay(self, options: Ext4Options) -> None:
        """Numbers the overlay: by hashes if the file system has enough inodes, else in order."""
        first = FIRST_INODE + len(self.base) - 1
        count = len(self.overlay)
        limit = options.inode_count or options.size // options.inode_ratio
        start, numbers = stepped(first), stepped(count + count // 4 + _SPARE_NUMBERS)
        claims = [Claim(key_of(item.names), 1, index) for index, item in enumerate(self.overlay)]
        placed = place(claims, numbers) if start + numbers <= limit else None
        for claim, index in placed or [(claim, claim.owner + first - start) for claim in claims]:
            self.overlay[claim.owner].number = start + index
        self.overlay.sort(key=lambda item: item.number)


def _entries_of(item: Item) -> dict[bytes, Node]:
    assert isinstance(item.node, Directory)
    return item.node.entries
