"""Selects paths in a tree by patterns.

A pattern is a path from the root. `*`, `?` and `[…]` have the same meaning as in a shell, but match names with a
leading dot, too; the component `**` matches any number of components. `/usr/share/doc` selects a directory with all its
content, `/run/*` the content of a directory without itself. Symbolic links before the first special character are
followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from tools.core.errors import UserError
from tools.tree.compare import printable
from tools.tree.node import Directory
from tools.tree.paths import MissingError, components, directory_at

Place = tuple[Directory, bytes]
"""A path, as (directory, name in it)."""

_ANY_DEPTH = b"**"
_SPECIAL = re.compile(rb"[*?[]")


def select(root: Directory, pattern: str | bytes) -> list[Place]:
    """Returns the paths that a pattern selects, parents first, in a deterministic order.

    Raises:
        UserError: the pattern is invalid or the root, or the path does not exist. A pattern with special characters may
            match nothing, but the directory before the first one must exist.
    """
    parts = components(pattern)
    if not parts:
        raise UserError("/: the root itself can't be selected; use /* for all its content")
    plain = next((index for index, part in enumerate(parts) if _SPECIAL.search(part)), len(parts))
    try:
        if plain < len(parts):
            return list(_matches(directory_at(root, parts[:plain]), parts[plain:]))
        parent = directory_at(root, parts[:-1])
        if parts[-1] not in parent.entries:
            raise MissingError(f"{printable(b'/'.join(parts))}: does not exist")
    except MissingError as error:
        raise UserError(f"{error}; correct the path, or leave it out") from error
    return [(parent, parts[-1])]


def _matches(top: Directory, parts: tuple[bytes, ...]) -> Iterator[Place]:
    """Yields the paths below a directory that match the rest of a pattern.

    Args:
        top: the directory.
        parts: components of the pattern, from the first one with special characters on.
    """
    last = len(parts) - 1
    stack = [(top, _with_skipped({0}, parts))]
    while stack:
        directory, wanted = stack.pop()
        below = []
        for name, child in directory.sorted_entries():
            matched = {index for index in wanted if parts[index] == _ANY_DEPTH or fnmatchcase(name, parts[index])}
            if last in matched:
                yield directory, name
            follow = {index + (parts[index] != _ANY_DEPTH) for index in matched} - {last + 1}
            if follow and isinstance(child, Directory):
                below.append((child, _with_skipped(follow, parts)))
        stack.extend(reversed(below))


def _with_skipped(wanted: set[int], parts: tuple[bytes, ...]) -> set[int]:
    """Adds the indices after each `**` in `wanted`, since `**` may match no component; returns `wanted`."""
    for index in range(len(parts) - 1):
        if index in wanted and parts[index] == _ANY_DEPTH:
            wanted.add(index + 1)
    return wanted


def strip(root: Directory, patterns: Iterable[str | bytes]) -> None:
    """Removes the paths that patterns select from a tree, directories with all their content.

    Raises:
        UserError: as for `select`; then nothing is removed.
    """
    remove([place for pattern in patterns for place in select(root, pattern)])


def remove(places: Iterable[Place]) -> None:
    """Removes paths from their tree, directories with all their content. A path may be given twice."""
    for directory, name in places:
        directory.entries.pop(name, None)
