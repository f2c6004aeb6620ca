"""Layers: trees that know where they come from, and which of their directories nobody described."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.core.errors import UserError
from tools.tree.compare import node_differences, printable, type_name
from tools.tree.node import Directory, Node, Symlink
from tools.tree.paths import directory_at, lookup

NOT_COMPARED = ("mtime",)
"""What may differ where a path is given twice: the later time is taken."""


@dataclass(slots=True)
class Layer:
    """A tree on its way into another.

    Attributes:
        label: what to call it in messages: a file, a label, a line.
        root: the tree.
        implied: those of its directories that only stand in the paths of others. They have the mode 0755 and belong
            to root, until something describes them.
    """

    label: str
    root: Directory
    implied: set[Directory] = field(default_factory=set)

    @classmethod
    def empty(cls, label: str) -> Layer:
        """Returns a layer of nothing but a root that nobody described."""
        layer = cls(label, Directory(origin=label))
        layer.implied.add(layer.root)
        return layer

    def _imply(self) -> Directory:
        directory = Directory(origin=self.label)
        self.implied.add(directory)
        return directory

    def directory(self, parts: Sequence[bytes]) -> Directory:
        """Returns the directory at a path, through symbolic links too; what is missing on the way is made.

        Raises:
            UserError: something on the way is no directory.
        """
        return directory_at(self.root, parts, self._imply)

    def add(self, parts: Sequence[bytes], node: Node) -> None:
        """Puts a node at a path.

        Args:
            parts: as from `paths.components`; none for the root.
            node: a directory without entries, or anything else.

        Raises:
            UserError: something else stands there, or something on the way is no directory.
        """
        node.origin = self.label
        if isinstance(node, Directory):
            self._add_directory(parts, node)
            return
        if not parts:
            raise UserError(f"/: must be a directory, not a {type_name(node)}")
        entries = self.directory(parts[:-1]).entries
        existing = entries.setdefault(parts[-1], node)
        if existing is not node:
            check_same(existing, node, b"/".join(parts))
            entries[parts[-1]] = node

    def _add_directory(self, parts: Sequence[bytes], node: Directory) -> None:
        existing = lookup(self.root, parts)
        if isinstance(existing, Symlink):
            with contextlib.suppress(UserError):  # what the link is about will be a difference
                existing = self.directory(parts)
        if existing is None:
            self.directory(parts[:-1]).entries[parts[-1]] = node
            return
        if existing not in self.implied:
            check_same(existing, node, b"/".join(parts))
        if isinstance(existing, Directory):
            self.describe(existing, node)

    def describe(self, directory: Directory, other: Directory) -> None:
        """Gives a directory the metadata of another one."""
        directory.permissions, directory.uid, directory.gid = other.permissions, other.uid, other.gid
        directory.mtime_ns, directory.xattrs, directory.origin = other.mtime_ns, other.xattrs, other.origin
        self.implied.discard(directory)


def placed_under(layer: Layer, parts: Sequence[bytes]) -> Layer:
    """Returns a layer in which the root of another one stands at a path."""
    if not parts:
        return layer
    result = Layer.empty(layer.label)
    result.directory(parts[:-1]).entries[parts[-1]] = layer.root
    result.implied |= layer.implied
    return result


def check_same(one: Node, other: Node, path: bytes) -> None:
    """Checks that two nodes at the same path are the same but for their times.

    Raises:
        UserError: they are not; the message names both origins.
    """
    for field_name, left, right in node_differences(one, other, NOT_COMPARED):
        sources = f"{one.origin} and {other.origin}" if one.origin != other.origin else f"{one.origin}, twice"
        values = f"{left or 'none'} / {right or 'none'}"
        advice = "remove one, or say that the later one overrides"
        raise UserError(f"{printable(path)}: is given by {sources}, with different {field_name} ({values}); {advice}")
