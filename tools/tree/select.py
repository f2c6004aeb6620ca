"""Patterns that choose paths in a tree.

A pattern is a path from the root. In its names `*`, `?` and `[…]` stand for what they do in a shell, hidden names
included, and the name `**` for any number of names. So `/usr/share/doc` is a directory with all that it holds, and
`/run/*` is what the directory holds, but not itself. Symbolic links before the first of these characters are followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from tools.core.errors import UserError
from tools.tree.compare import printable
from tools.tree.node import Directory
from tools.tree.paths import components, directory_at

Place = tuple[Directory, bytes]
"""A directory and a name in it."""

_ANY_DEPTH = b"**"
_SPECIAL = re.compile(rb"[*?[]")


def select(root: Directory, pattern: str | bytes) -> list[Place]:
    """Returns the places that a pattern chooses, in an order that only the tree decides, parents first.

    Raises:
        UserError: the pattern is no path or the root, or there is no such path. A pattern with special characters may
            choose nothing, but what stands before them must be there.
    """
    parts = components(pattern)
    if not parts:
        raise UserError("/: can't be chosen as a whole; say /* for all that it holds")
    plain = next((index for index, part in enumerate(parts) if _SPECIAL.search(part)), len(parts))
    if plain < len(parts):
        return list(_matches(directory_at(root, parts[:plain]), parts[plain:]))
    parent = directory_at(root, parts[:-1])
    if parts[-1] not in parent.entries:
        raise UserError(f"{printable(b'/'.join(parts))}: isn't there")
    return [(parent, parts[-1])]


def _matches(top: Directory, parts: tuple[bytes, ...]) -> Iterator[Place]:
    """Yields what a pattern from its first special character on chooses below a directory."""
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
    """Adds to the parts of a pattern that may come next those after a `**`, which may stand for no name at all."""
    for index in range(len(parts) - 1):
        if index in wanted and parts[index] == _ANY_DEPTH:
            wanted.add(index + 1)
    return wanted


def strip(root: Directory, patterns: Iterable[str | bytes]) -> None:
    """Removes what patterns choose from a tree, directories with all that they hold.

    Raises:
        UserError: as for `select`. All patterns are looked at before anything is removed.
    """
    for directory, name in [place for pattern in patterns for place in select(root, pattern)]:
        directory.entries.pop(name, None)
