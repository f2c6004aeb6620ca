"""Resolves paths in a tree, with its symbolic links, as Linux does in a chroot.

Absolute link targets start at the root of the tree, and `..` of the root is the root, so no path leads out of the tree.
If `/lib` is a link to `usr/lib`, the path `/lib/x` is resolved to `/usr/lib/x`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tools.core.errors import UserError
from tools.tree.compare import printable, type_name
from tools.tree.node import NAME_MAX, Directory, Node, Symlink

PATH_MAX = 4096
"""Maximum length of a path in Linux in bytes, including the terminating NUL (limits.h)."""

_MAX_LINKS = 40
"""Maximum number of symbolic links in the resolution of a path, as in Linux (path_resolution(7))."""


def components(path: str | bytes) -> tuple[bytes, ...]:
    """Splits a path from the root into names; it may start with a slash or `./`.

    Raises:
        UserError: a name is `..`, is too long or has a NUL.
    """
    raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
    parts = tuple(part for part in raw.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise UserError(f"{printable(raw.lstrip(b'/'))}: has '..' in it; use the path from the root")
    if b"\0" in raw or any(len(part) > NAME_MAX for part in parts):
        raise UserError(f"{printable(raw.lstrip(b'/'))}: has a name that is longer than {NAME_MAX} bytes or has a NUL")
    return parts


def directory_at(root: Directory, parts: Sequence[bytes], make: Callable[[], Directory] | None = None) -> Directory:
    """Returns the directory at a path; follows all symbolic links.

    Args:
        root: root of the tree.
        parts: path, from `components`.
        make: creates a directory for a missing component; if it is None, a missing component is an error.

    Raises:
        UserError: a component is missing or not a directory, or there are too many symbolic links.
    """
    node = root
    for part in parts:  # fast path, without symbolic links
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
    """Returns the node at a path, or None if the path doesn't exist.

    Args:
        root: root of the tree.
        parts: path, from `components`.
        follow: whether to follow a symbolic link at the end of the path; all others are always followed.

    Raises:
        UserError: a component is not a directory, or there are too many symbolic links.
    """
    try:
        if follow or not parts:
            return _walk(root, parts, None)
        return directory_at(root, parts[:-1]).entries.get(parts[-1])
    except MissingError:
        return None


class MissingError(UserError):
    """A path does not exist."""


def _walk(root: Directory, parts: Sequence[bytes], make: Callable[[], Directory] | None) -> Node:
    """Returns the node at a path; follows all symbolic links."""
    place = [root]  # the current directory and its ancestors, for `..`
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
                raise MissingError(f"{_show(parts)}: does not exist")
            child = place[-1].entries[part] = make()
        if isinstance(child, Symlink):
            links += 1
            if links > _MAX_LINKS:
                raise UserError(f"{_show(parts)}: leads through more than {_MAX_LINKS} symbolic links")
            if child.target.startswith(b"/"):
                del place[1:]
            todo.extend(name for name in reversed(child.target.split(b"/")) if name not in (b"", b"."))
        elif isinstance(child, Directory):
            place.append(child)
        elif todo:
            raise UserError(f"{_show(parts)}: its component {printable(part)[1:]} is a {type_name(child)}")
        else:
            return child
    return place[-1]


def _show(parts: Sequence[bytes]) -> str:
    return printable(b"/".join(parts))
