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
from collections.abc import Iterable
from enum import Enum

from tools.errors import UserError
from tools.tree.layer import Layer, check_same
from tools.tree.node import Directory, Symlink
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
        """Merges directory by directory; a stack instead of calls, as trees are deeper than Python's stack."""
        self._tree.implied |= self._layer.implied
        self._describe(self._tree.root, self._layer.root, b"", override=False)
        stack = [(self._tree.root, self._layer.root, b"", False)]
        while stack:
            target, source, path, override = stack.pop()
            for name, child in source.sorted_entries():
                existing = target.entries.setdefault(name, child)
                if existing is child:
                    continue
                place = path + b"/" + name if path else name
                replace = override or (source, name) in self._overrides
                if isinstance(child, Directory):
                    directory = self._directory(target, name, place)
                    if directory is not None:
                        self._describe(directory, child, place, override=replace)
                        stack.append((directory, child, place, replace))
                        continue
                if not replace:
                    check_same(existing, child, place)
                target.entries[name] = child

    def _directory(self, target: Directory, name: bytes, path: bytes) -> Directory | None:
        """Returns the directory that a name leads to, through symbolic links too; None if something else is there."""
        node = target.entries[name]
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
