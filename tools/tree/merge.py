"""Merging of layers into one tree.

A path that two layers give must be the same in both, but for its time: what differs in type, content, mode, owner or
extended attributes is an error that names both, unless the later layer is said to override it. Two things are not
differences:

- A directory that stands where the tree has a symbolic link to a directory is that directory: what it holds lands
  there. So packages that ship `/lib` go into a tree in which `/lib` is a link to `/usr/lib`.
- A directory that a layer holds without describing it, because it only comes with the path of something below, takes
  any metadata. What to do about directories that both layers describe, and differently, is said for each layer: the
  archives of packages should agree, an archive of one's own files often has 0755 for what it did not mean to change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from tools.core.errors import UserError
from tools.tree.layer import Layer, check_same
from tools.tree.node import Directory, Node, Symlink
from tools.tree.select import Place, select


class Directories(Enum):
    """What becomes of directories that the tree and a layer describe differently."""

    SAME = "same"
    """It is an error."""

    KEEP = "keep"
    """They stay as they are in the tree, as dpkg does it."""

    REPLACE = "replace"
    """They become what the layer says, as tar does it."""


def merge(
    tree: Layer, layer: Layer, overrides: Iterable[str | bytes] = (), directories: Directories = Directories.SAME
) -> None:
    """Adds a layer to a tree. The nodes of the layer become the tree's: the layer can't be used again.

    Args:
        tree: what has been merged so far.
        layer: what to add.
        overrides: patterns (see `select`) for those paths of the layer that replace what the tree has there; a
            directory that replaces another stays what it is, and becomes as the layer describes it.
        directories: what becomes of directories that both describe.

    Raises:
        UserError: a path is given by both and differs, or a pattern chooses nothing.
    """
    _Merge(tree, layer, overrides, directories).run()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in a directory of the layer, the directory of the tree that it goes to, and whether it overrides."""

    target: Directory
    source: Directory
    name: bytes
    path: bytes
    override: bool


def _entries(target: Directory, source: Directory, path: bytes, *, override: bool) -> Iterator[_Entry]:
    """Yields the entries of a directory, the last one first."""
    prefix = path + b"/" if path else b""
    for name in sorted(source.entries, reverse=True):
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
        """Merges path by path, in the order of an archive; with a stack, since trees are deeper than that of calls."""
        self._tree.implied |= self._layer.implied
        self._describe(self._tree.root, self._layer.root, b"", override=False)
        stack = list(_entries(self._tree.root, self._layer.root, b"", override=False))
        while stack:
            entry = stack.pop()
            directory = self._merge(entry)
            if directory is not None:
                child = entry.source.entries[entry.name]
                assert isinstance(child, Directory)
                stack.extend(_entries(directory, child, entry.path, override=self._replaces(entry)))

    def _replaces(self, entry: _Entry) -> bool:
        return entry.override or (entry.source, entry.name) in self._overrides

    def _merge(self, entry: _Entry) -> Directory | None:
        """Merges one name; returns the directory that the name's own entries go to, if they are still to be merged."""
        child = entry.source.entries[entry.name]
        existing = entry.target.entries.setdefault(entry.name, child)
        if existing is child:
            return None
        if isinstance(child, Directory):
            directory = self._directory(existing, entry.path)
            if directory is not None:
                self._describe(directory, child, entry.path, override=self._replaces(entry))
                return directory
        if not self._replaces(entry):
            check_same(existing, child, entry.path)
        entry.target.entries[entry.name] = child
        return None

    def _directory(self, node: Node, path: bytes) -> Directory | None:
        """Returns the directory that a path leads to, through symbolic links too; None if something else is there."""
        if isinstance(node, Symlink):
            with contextlib.suppress(UserError):  # what the link is about will be a difference
                return self._tree.directory(path.split(b"/"))
        return node if isinstance(node, Directory) else None

    def _describe(self, target: Directory, source: Directory, path: bytes, *, override: bool) -> None:
        """Makes a directory of the tree what the layer says about it."""
        if source in self._layer.implied:
            return
        if target not in self._tree.implied and not override and self._directories is not Directories.REPLACE:
            if self._directories is Directories.KEEP:
                return
            check_same(target, source, path)
        self._tree.describe(target, source)
