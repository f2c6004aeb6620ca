"""Paths in a tree, followed through its symbolic links as Linux follows them in a running system.

A link to an absolute path starts over at the root of the tree, and `..` of the root is the root: nothing leads out of
a tree. So a package that ships `/lib/x` lands in `/usr/lib/x` where `/lib` is a link to `usr/lib`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tools.core.errors import UserError
from tools.tree.compare import printable, type_name
from tools.tree.node import NAME_MAX, Directory, Node, Symlink

PATH_MAX = 4096
"""The longest path that Linux takes, with the NUL that ends it (limits.h)."""

_MOST_LINKS = 40
"""As many symbolic links as Linux follows in one path (path_resolution(7))."""


def components(path: str | bytes) -> tuple[bytes, ...]:
    """Returns the names in a path from the root, which may start with a slash or `./`.

    Raises:
        UserError: a name is `..`, too long or holds a NUL.
    """
    raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
    parts = tuple(part for part in raw.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise UserError(f"{printable(raw.lstrip(b'/'))}: has '..' in it; say the path from the root")
    if b"\0" in raw or any(len(part) > NAME_MAX for part in parts):
        raise UserError(
            f"{printable(raw.lstrip(b'/'))}: has a name that is longer than {NAME_MAX} bytes or holds a NUL"
        )
    return parts


def directory_at(root: Directory, parts: Sequence[bytes], make: Callable[[], Directory] | None = None) -> Directory:
    """Returns the directory that a path leads to, all symbolic links followed.

    Args:
        root: of the tree.
        parts: as from `components`.
        make: gives a directory for a name that isn't there; without it that is an error.

    Raises:
        UserError: something on the way is missing or no directory, or links lead in circles.
    """
    node = root
    for part in parts:  # the short way, for paths without links
        child = node.entries.get(part)
        if not isinstance(child, Directory):
            break
        node = child
    else:
        return node
    found = _walk(root, parts, make)
    if not isinstance(found, Directory):
        raise UserError(f"{_show(parts)}: is a {type_name(found)}, not a directory")
    return found


def lookup(root: Directory, parts: Sequence[bytes], *, follow: bool = False) -> Node | None:
    """Returns the node at a path, None if there is none.

    Args:
        root: of the tree.
        parts: as from `components`.
        follow: whether a symbolic link at the end of the path is followed, as those before it always are.

    Raises:
        UserError: something on the way is no directory, or links lead in circles.
    """
    try:
        if follow or not parts:
            return _walk(root, parts, None)
        return directory_at(root, parts[:-1]).entries.get(parts[-1])
    except _MissingError:
        return None


class _MissingError(UserError):
    """A path leads nowhere."""


def _walk(root: Directory, parts: Sequence[bytes], make: Callable[[], Directory] | None) -> Node:
    """Returns the node that a path leads to, all symbolic links followed."""
    place = [root]  # the directories from the root to here, for `..`
    todo = list(reversed(parts))
    links = 0
    while todo:
        part = todo.pop()
        if part == b"..":
            del place[max(1, len(place) - 1) :]
            continue
        child = place[-1].entries.get(part)
        if child is None:
            if make is None:
                raise _MissingError(f"{_show(parts)}: isn't there")
            child = place[-1].entries[part] = make()
        if isinstance(child, Symlink):
            links += 1
            if links > _MOST_LINKS:
                raise UserError(f"{_show(parts)}: leads through more than {_MOST_LINKS} symbolic links")
            if child.target.startswith(b"/"):
                del place[1:]
            todo.extend(name for name in reversed(child.target.split(b"/")) if name not in (b"", b"."))
        elif isinstance(child, Directory):
            place.append(child)
        elif todo:
            raise UserError(f"{_show(parts)}: {printable(part)[1:]} on the way there is a {type_name(child)}")
        else:
            return child
    return place[-1]


def _show(parts: Sequence[bytes]) -> str:
    return printable(b"/".join(parts))
