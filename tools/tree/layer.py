"""Layers: trees with a label for messages, and with a record of the directories that have only default metadata."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tools.core.errors import UserError
from tools.tree.compare import node_differences, printable, type_name
from tools.tree.node import Directory, File, Node, Symlink
from tools.tree.paths import directory_at, lookup

NOT_COMPARED = ("mtime",)
"""Fields that may differ between two definitions of a path; the later definition counts."""

Overlay = dict[Node, dict[bytes, Node | None]]
"""The entries of directories that are not from the base, the lowest layer: maps each name to the node of the base that
it replaces, or to None. Of a whole directory that is not from the base, only its own entry is recorded."""


@dataclass(slots=True)
class Layer:
    """A tree to be merged into another.

    Attributes:
        label: name of the layer in messages: a file, a Bazel label, or a line.
        root: the tree.
        implied: directories that exist only because of paths below them. They have default metadata, mode 0755 and
            owner root, until they are defined.
        overlay: the entries that were merged into this layer.
    """

    label: str
    root: Directory
    implied: set[Directory] = field(default_factory=set)
    overlay: Overlay = field(default_factory=dict)

    @classmethod
    def empty(cls, label: str) -> Layer:
        """Returns a layer with only an implied root directory."""
        layer = cls(label, Directory(origin=label))
        layer.implied.add(layer.root)
        return layer

    def _imply(self) -> Directory:
        directory = Directory(origin=self.label)
        self.implied.add(directory)
        return directory

    def directory(self, parts: Sequence[bytes]) -> Directory:
        """Returns the directory at a path; follows symbolic links, and creates missing directories as implied ones.

        Raises:
            UserError: a component of the path is not a directory.
        """
        return directory_at(self.root, parts, self._imply)

    def add(self, parts: Sequence[bytes], node: Node) -> None:
        """Adds a node at a path.

        Args:
            parts: path, from `paths.components`; empty for the root.
            node: the node; a directory must have no entries.

        Raises:
            UserError: the path exists with another definition, or a component of it is not a directory.
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
            with contextlib.suppress(UserError):  # then the link itself is compared, and differs
                existing = self.directory(parts)
        if existing is None:
            self.directory(parts[:-1]).entries[parts[-1]] = node
            return
        if existing not in self.implied:
            check_same(existing, node, b"/".join(parts))
        if isinstance(existing, Directory):
            self.describe(existing, node)

    def record(self, directory: Directory, name: bytes, replaced: Node | None) -> None:
        """Records in the overlay that an entry of a directory replaces `replaced`, or nothing."""
        self.overlay.setdefault(directory, {}).setdefault(name, replaced)

    def record_change(self, parts: Sequence[bytes]) -> None:
        """Records in the overlay that the content of the file at a path is about to change."""
        directory = lookup(self.root, parts[:-1], follow=True)
        node = directory.entries.get(parts[-1]) if isinstance(directory, Directory) else None
        if isinstance(directory, Directory) and isinstance(node, File):
            self.record(directory, parts[-1], replace(node))

    def describe(self, directory: Directory, other: Directory) -> None:
        """Copies the metadata of another directory; the directory is no longer implied."""
        directory.permissions, directory.uid, directory.gid = other.permissions, other.uid, other.gid
        directory.mtime_ns, directory.xattrs, directory.origin = other.mtime_ns, other.xattrs, other.origin
        self.implied.discard(directory)


def placed_under(layer: Layer, parts: Sequence[bytes]) -> Layer:
    """Returns a layer with the root of another layer at a path."""
    if not parts:
        return layer
    result = Layer.empty(layer.label)
    result.directory(parts[:-1]).entries[parts[-1]] = layer.root
    result.implied |= layer.implied
    return result


def check_same(one: Node, other: Node, path: bytes) -> None:
    """Checks that two nodes at the same path are equal except for their times.

    Raises:
        UserError: they are not; the message has both origins.
    """
    for field_name, left, right in node_differences(one, other, NOT_COMPARED):
        if one.origin != other.origin:
            sources = f"{one.origin} and {other.origin}"
            advice = f"remove one, or put it into the latter's overrides: overrides = [{json.dumps(printable(path))}]"
        else:
            sources, advice = f"{one.origin}, twice", "remove one; of an archive, by unpacking it and packing it again"
        values = f"{left or 'none'} / {right or 'none'}"
        raise UserError(f"{printable(path)}: is given by {sources}, with different {field_name} ({values}); {advice}")
