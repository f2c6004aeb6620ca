"""Root trees from tar archives: names become paths, and contents stay ranges of the archive."""

from __future__ import annotations

import os

from tools.core.errors import UserError
from tools.tar import header
from tools.tar.reader import Member, read_members
from tools.tree.compare import printable
from tools.tree.layer import Layer
from tools.tree.node import Device, Directory, Fifo, File, Node, Symlink
from tools.tree.paths import PATH_MAX, components, lookup


def read_archive(path: str | os.PathLike[str], label: str = "") -> Layer:
    """Returns the tree of a plain tar archive.

    What the archive says is kept or refused, never dropped; only times other than that of the last modification and
    the names of owners are not looked at. Members may come through symbolic links of the archive itself, as
    `lib/x` where `lib` is a link to `usr/lib`. Hard links may stand before the file that they name.

    Args:
        path: of the archive. It must not change as long as the tree is used.
        label: what to call it in messages, the path if empty.

    Raises:
        UserError: the archive can't be read or is damaged, a path leads out of it or is there twice with different
            metadata or content, or a hard link leads nowhere. The message names the archive and the member.
    """
    layer = Layer.empty(label or os.fspath(path))
    links = _HardLinks(layer)
    for member in read_members(path):
        try:
            if member.kind == header.HARD_LINK:
                links.add(member)
            else:
                layer.add(_path(member.name), _node(member))
        except UserError as error:
            raise _located(error, path, member) from error
    links.resolve(path)
    return layer


def _located(error: UserError, path: str | os.PathLike[str], member: Member) -> UserError:
    name = member.name.decode(errors="backslashreplace")
    return UserError(f"{os.fspath(path)}: member {name!r} at byte {member.offset}: {error}")


def _path(name: bytes) -> tuple[bytes, ...]:
    """Returns the names in a path of an archive."""
    if name.startswith(b"/"):
        raise UserError(f"{printable(name[1:])}: is an absolute path; make the archive with paths relative to its root")
    if not name:
        raise UserError("has an empty path")
    return components(name)


def _node(member: Member) -> Node:
    """Returns the node that a member describes."""
    node = _bare_node(member)
    node.permissions = member.permissions
    node.uid, node.gid = member.uid, member.gid
    node.mtime_ns = member.mtime_ns
    node.xattrs = member.xattrs
    return node


def _bare_node(member: Member) -> Node:
    """Returns a node of a member's type, with what only that type has."""
    match member.kind:
        case header.DIRECTORY:
            return Directory()
        case header.SYMLINK:
            if not 0 < len(member.link) < PATH_MAX or b"\0" in member.link:
                raise UserError("is a symbolic link to a path that is empty, too long or holds a NUL")
            return Symlink(target=member.link)
        case header.FIFO:
            return Fifo()
        case header.CHARACTER_DEVICE | header.BLOCK_DEVICE:
            major, minor = member.device
            return Device(block=member.kind == header.BLOCK_DEVICE, major=major, minor=minor)
    assert member.content is not None
    return File(content=member.content)


class _HardLinks:
    """The hard links of an archive; one that stands before the file that it names waits for the end."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._waiting: dict[tuple[bytes, ...], Member] = {}

    def add(self, member: Member) -> None:
        if not self._place(member):
            other = self._waiting.setdefault(_path(member.name), member)
            if _path(other.link) != _path(member.link):
                raise UserError(f"is a hard link already, at byte {other.offset}, to another file")

    def _place(self, member: Member) -> bool:
        """Adds the name of a link to the file that it names, if that is there."""
        target = lookup(self._layer.root, _path(member.link))
        if target is None:
            return False
        if isinstance(target, Directory):
            raise UserError(f"is a hard link to a directory, {printable(member.link)}")
        self._layer.add(_path(member.name), target)
        return True

    def resolve(self, archive: str | os.PathLike[str]) -> None:
        """Adds the links that wait, which may name each other."""
        while self._waiting:
            path, member = self._waiting.popitem()
            chain = [member]
            while (path := _path(chain[-1].link)) in self._waiting:
                chain.append(self._waiting.pop(path))
            for link in reversed(chain):
                try:
                    if not self._place(link):
                        circle = path in {_path(other.name) for other in chain}
                        what = "leads back to itself" if circle else "isn't in the archive"
                        raise UserError(f"is a hard link to {printable(link.link)}, which {what}")
                except UserError as error:
                    raise _located(error, archive, link) from error
