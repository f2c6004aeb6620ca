"""Merges layers into one tree.

A path in two layers must be equal in both, except for its time: a difference in type, content, mode, owner or extended
attributes is an error, unless the later layer overrides the path. There are two exceptions:

- A directory of a layer is merged into the directory that a symbolic link of the tree at the same path leads to. So a
  package that ships `/lib` can be merged into a tree in which `/lib` is a link to `/usr/lib`.
- An implied directory of a layer, which only exists because of paths below it, has no metadata of its own. How
  different metadata of other directories is handled is set for each layer (`Directories`): packages should agree, but
  an archive of one's own files often has mode 0755 for directories that it isn't meant to change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from tools.core.errors import UserError
from tools.tree.layer import Layer, check_same
from tools.tree.metadata import all_nodes
from tools.tree.node import Directory, Node, Symlink
from tools.tree.select import Place, select


class Directories(Enum):
    """How to handle a directory with different metadata in the tree and in a layer."""

    SAME = "same"
    """Raise an error."""

    KEEP = "keep"
    """Keep the metadata of the tree, as dpkg does."""

    REPLACE = "replace"
    """Take the metadata of the layer, as tar does."""


def merge(
    tree: Layer, layer: Layer, overrides: Iterable[str | bytes] = (), directories: Directories = Directories.SAME
) -> None:
    """Merges a layer into a tree. The nodes of the layer become part of the tree, so the layer can't be used again.

    Args:
        tree: the layers merged so far.
        layer: the layer to add.
        overrides: patterns (see `select`) for paths of the layer that replace those of the tree. A directory that
            overrides another one replaces its metadata and keeps its entries.
        directories: how to handle directories with different metadata.

    Raises:
        UserError: a path is in both and differs, or a path in `overrides` doesn't exist.
    """
    _Merge(tree, layer, overrides, directories).run()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A directory entry of the layer to be merged.

    Attributes:
        target: the directory of the tree that it is merged into.
        source: the directory of the layer that it is in.
        name: its name.
        path: its path.
        override: whether a directory above it overrides the tree.
    """

    target: Directory
    source: Directory
    name: bytes
    path: bytes
    override: bool


def _entries(target: Directory, source: Directory, path: bytes, *, override: bool) -> Iterator[_Entry]:
    """Yields the entries of a directory, sorted by the bytes of their names."""
    prefix = path + b"/" if path else b""
    for name in sorted(source.entries):
        yield _Entry(target, source, name, prefix + name, override)


class _Merge:
    def __init__(self, tree: Layer, layer: Layer, overrides: Iterable[str | bytes], directories: Directories) -> None:
        self._tree = tree
        self._layer = layer
        self._directories = directories
        self._overrides: set[Place] = set()
        for pattern in overrides:
            try:
                self._overrides.update(select(layer.root, pattern))
            except UserError as error:
                raise UserError(f"{layer.label}: overrides: {error}") from error

    def run(self) -> None:
        """Merges all paths, parents first; without recursion, since trees may be deeper than Python's call stack."""
        self._tree.implied |= self._layer.implied
        self._describe(self._tree.root, self._layer.root, b"", override=False)
        stack = [_entries(self._tree.root, self._layer.root, b"", override=False)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                continue
            directory = self._merge(entry)
            if directory is not None:
                child = entry.source.entries[entry.name]
                assert isinstance(child, Directory)
                stack.append(_entries(directory, child, entry.path, override=self._replaces(entry)))

    def _replaces(self, entry: _Entry) -> bool:
        return entry.override or (entry.source, entry.name) in self._overrides

    def _merge(self, entry: _Entry) -> Directory | None:
        """Merges one entry; if its own entries must be merged, too, returns the directory to merge them into."""
        child = entry.source.entries[entry.name]
        existing = entry.target.entries.setdefault(entry.name, child)
        if existing is child:
            self._tree.record(entry.target, entry.name, None)
            return None
        if isinstance(child, Directory):
            directory = self._directory(existing, entry.path)
            if directory is not None:
                self._describe(directory, child, entry.path, override=self._replaces(entry))
                return directory
        if not self._replaces(entry):
            check_same(existing, child, entry.path)
        entry.target.entries[entry.name] = child
        self._tree.record(entry.target, entry.name, existing)
        return None

    def _directory(self, node: Node, path: bytes) -> Directory | None:
        """Returns the directory at a path of the tree; follows symbolic links. None if it is something else."""
        if isinstance(node, Symlink):
            with contextlib.suppress(UserError):  # then the link itself is compared, and differs
                return self._linked_directory(path)
        return node if isinstance(node, Directory) else None

    def _linked_directory(self, path: bytes) -> Directory:
        """Returns the directory that a link leads to; makes missing ones, which are not from the base.

        Raises:
            UserError: it leads to something else.
        """
        before = set(self._tree.implied)
        try:
            return self._tree.directory(path.split(b"/"))
        finally:
            if made := self._tree.implied - before:
                for directory in all_nodes(self._tree.root):
                    if isinstance(directory, Directory):
                        for name in [name for name, child in directory.entries.items() if child in made]:
                            self._tree.record(directory, name, None)

    def _describe(self, target: Directory, source: Directory, path: bytes, *, override: bool) -> None:
        """Merges the metadata of a directory."""
        if source in self._layer.implied:
            return
        if target not in self._tree.implied and not override and self._directories is not Directories.REPLACE:
            if self._directories is Directories.KEEP:
                return
            check_same(target, source, path)
        self._tree.describe(target, source)
