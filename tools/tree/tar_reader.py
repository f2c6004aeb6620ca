"""Reads tar archives as trees; file contents are ranges of the archive."""

from __future__ import annotations

import os
from collections.abc import Collection

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.tar import header
from tools.tar.reader import Member, read_members
from tools.tree.compare import printable
from tools.tree.layer import Layer
from tools.tree.node import Device, Directory, Fifo, File, Node, Symlink
from tools.tree.paths import PATH_MAX, components, lookup

_SHARED: dict[int, int] = {}
_EMPTY = Image(0)
_NO_XATTRS: dict[bytes, bytes] = {}
"""Values that many nodes have; one object for all of them takes less memory."""

_Attributes = dict[tuple[tuple[bytes, bytes], ...], dict[bytes, bytes]]
"""The extended attributes of the nodes of an archive, by sorted names and values: one object for equal ones."""


def read_archive(path: str | os.PathLike[str], label: str = "", drop_keywords: Collection[str] = ()) -> Layer:
    """Reads an uncompressed tar archive as a tree.

    Metadata that a tree can't store is an error, except for access and change times and user and group names, which are
    ignored. The paths of members may lead through symbolic links in the archive, such as `lib/x` if `lib` is a link to
    `usr/lib`. A hard link may precede its target.

    Args:
        path: path of the archive. The file must not change while the tree is in use.
        label: name of the archive in messages; by default the path.
        drop_keywords: keywords of extended headers to ignore.

    Raises:
        UserError: the archive can't be read or is damaged, a path leads out of it or occurs twice with different
            metadata or content, or the target of a hard link doesn't exist. The message has the archive and the member.
    """
    layer = Layer.empty(label or os.fspath(path))
    links = _HardLinks(layer)
    attributes: _Attributes = {}
    for member in read_members(path, drop_keywords):
        try:
            if member.kind == header.HARD_LINK:
                links.add(member)
            else:
                layer.add(_path(member.name), _node(member, attributes))
        except UserError as error:
            raise _located(error, path, member) from error
    links.resolve(path)
    return layer


def _located(error: UserError, path: str | os.PathLike[str], member: Member) -> UserError:
    name = member.name.decode(errors="backslashreplace")
    return UserError(f"{os.fspath(path)}: member {name!r} at byte {member.offset}: {error}")


def _path(name: bytes) -> tuple[bytes, ...]:
    """Splits the path of a member into names."""
    if name.startswith(b"/"):
        raise UserError(f"{printable(name[1:])}: is an absolute path; use paths relative to the archive's root")
    if not name:
        raise UserError("has an empty path")
    return components(name)


def _node(member: Member, attributes: _Attributes) -> Node:
    """Returns the node for a member."""
    node = _bare_node(member)
    node.permissions = _SHARED.setdefault(member.permissions, member.permissions)
    node.uid, node.gid = member.uid, member.gid
    node.mtime_ns = member.mtime_ns
    node.xattrs = _NO_XATTRS
    if member.xattrs:
        node.xattrs = attributes.setdefault(tuple(sorted(member.xattrs.items())), member.xattrs)
    return node


def _bare_node(member: Member) -> Node:
    """Returns a node of a member's type, with the fields of that type only."""
    match member.kind:
        case header.DIRECTORY:
            return Directory()
        case header.SYMLINK:
            if not 0 < len(member.link) < PATH_MAX or b"\0" in member.link:
                raise UserError("is a symbolic link to a path that is empty, too long or has a NUL")
            return Symlink(target=member.link, xattrs=_NO_XATTRS)
        case header.FIFO:
            return Fifo()
        case header.CHARACTER_DEVICE | header.BLOCK_DEVICE:
            major, minor = member.device
            return Device(block=member.kind == header.BLOCK_DEVICE, major=major, minor=minor)
    assert member.content is not None
    return File(content=member.content if member.content.size else _EMPTY, xattrs=_NO_XATTRS)


class _HardLinks:
    """Resolves the hard links of an archive; those that precede their target are resolved at the end."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._waiting: dict[tuple[bytes, ...], Member] = {}

    def add(self, member: Member) -> None:
        if not self._place(member):
            other = self._waiting.setdefault(_path(member.name), member)
            if _path(other.link) != _path(member.link):
                raise UserError(f"is already a hard link to another file, at byte {other.offset}")

    def _place(self, member: Member) -> bool:
        """Adds a hard link if its target exists; returns whether it does."""
        target = lookup(self._layer.root, _path(member.link))
        if target is None:
            return False
        if isinstance(target, Directory):
            raise UserError(f"is a hard link to a directory, {printable(member.link)}")
        self._layer.add(_path(member.name), target)
        return True

    def resolve(self, archive: str | os.PathLike[str]) -> None:
        """Adds the remaining links, which may be links to each other."""
        while self._waiting:
            path, member = self._waiting.popitem()
            chain = [member]
            while (path := _path(chain[-1].link)) in self._waiting:
                chain.append(self._waiting.pop(path))
            for link in reversed(chain):
                try:
                    if not self._place(link):
                        circle = path in {_path(other.name) for other in chain}
                        what = "is a link to itself" if circle else "isn't in the archive"
                        raise UserError(f"is a hard link to {printable(link.link)}, which {what}")
                except UserError as error:
                    raise _located(error, archive, link) from error
