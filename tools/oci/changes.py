"""Applies the layers of an OCI image to a root tree, with their whiteouts.

A file `.wh.NAME` in a layer removes NAME of the layers below, and `.wh..wh..opq` all that they have in its directory:
OCI Image Format Specification 1.1, layer.md, "Whiteouts". Other names that begin with `.wh..wh.` are records of AUFS,
and are left out.
"""

from __future__ import annotations

from tools.core.errors import UserError
from tools.tree.compare import printable
from tools.tree.layer import Layer
from tools.tree.node import Directory, Symlink

_WHITEOUT = b".wh."
_RECORD = b".wh..wh."
_OPAQUE = b".wh..wh..opq"


def apply_changes(tree: Layer, changes: Layer) -> None:
    """Applies a layer to a tree. The nodes of the layer become part of the tree, so the layer can't be used again.

    What the layer has replaces what the tree has at the same path. Only a directory on a directory keeps the entries;
    and a directory that the layer names only in paths of others may be a symbolic link to one in the tree.

    Args:
        tree: the layers applied so far.
        changes: the layer, with whiteouts.

    Raises:
        UserError: a whiteout names nothing, or a path leads through what is no directory.
    """
    if changes.root not in changes.implied:
        tree.describe(tree.root, changes.root)
    stack: list[tuple[Directory, Directory, tuple[bytes, ...]]] = [(tree.root, changes.root, ())]
    while stack:
        target, source, parts = stack.pop()
        _remove(target, source, parts)
        for name, child in source.entries.items():
            if name.startswith(_WHITEOUT):
                continue
            if isinstance(child, Directory):
                below = _directory(tree, target, (*parts, name), implied=child in changes.implied)
                if child not in changes.implied:
                    tree.describe(below, child)
                stack.append((below, child, (*parts, name)))
            else:
                target.entries[name] = child


def _directory(tree: Layer, target: Directory, parts: tuple[bytes, ...], *, implied: bool) -> Directory:
    """Returns the directory of the tree for one of a layer; makes it if it is missing.

    Args:
        tree: the layers applied so far.
        target: directory of the tree that it is in.
        parts: its path in the layer.
        implied: whether the layer has it only because of paths below it.
    """
    existing = target.entries.get(parts[-1])
    if isinstance(existing, Directory):
        return existing
    if isinstance(existing, Symlink) and implied:
        return tree.directory(parts)
    made = target.entries[parts[-1]] = Directory(origin=tree.label)
    tree.implied.add(made)
    return made


def _remove(target: Directory, source: Directory, parts: tuple[bytes, ...]) -> None:
    """Removes from a directory of the tree what the whiteouts of a layer's directory name."""
    if _OPAQUE in source.entries:
        target.entries.clear()
    for name in source.entries:
        if name.startswith(_WHITEOUT) and not name.startswith(_RECORD):
            removed = name[len(_WHITEOUT) :]
            if removed in (b"", b".", b".."):
                raise UserError(f"{printable(b'/'.join((*parts, name)))}: is a whiteout that names no file")
            target.entries.pop(removed, None)
