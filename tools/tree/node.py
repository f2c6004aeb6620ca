"""The nodes of a tree: files, directories and other types, with the metadata that a file system stores.

Names and link targets are bytes, as in the kernel. A hard link is one node object in several directory entries.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.image.extents import Image

NAME_MAX = 255
"""Maximum length of a name in bytes (Linux limits.h)."""


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """The base class of nodes, with the metadata that all types have.

    Attributes:
        permissions: the mode without the file type, up to 0o7777: includes the setuid, setgid and sticky bits.
        uid: user ID.
        gid: group ID.
        mtime_ns: modification time in nanoseconds since the epoch.
        xattrs: values of extended attributes by full name (such as `b"security.capability"`); several nodes
            may have the same dictionary.
        origin: where the node is from (an archive, a Bazel label, a line), for messages.
    """

    permissions: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    origin: str = ""

    @property
    def file_type(self) -> int:
        """The file type bits of the mode (`stat.S_IFREG`, …)."""
        raise NotImplementedError

    @property
    def mode(self) -> int:
        """File type and permissions (`st_mode`)."""
        return self.file_type | self.permissions


@dataclass(slots=True, eq=False, kw_only=True)
class Directory(Node):
    """A directory; `entries` is unordered, see `sorted_entries`."""

    permissions: int = 0o755
    entries: dict[bytes, Node] = field(default_factory=dict)

    @property
    def file_type(self) -> int:
        return stat.S_IFDIR

    def sorted_entries(self) -> list[tuple[bytes, Node]]:
        """Returns (name, node) pairs sorted by the bytes of the names, the order in which all writers take them."""
        return sorted(self.entries.items())


@dataclass(slots=True, eq=False, kw_only=True)
class File(Node):
    """A regular file; its content is an image, so that it keeps its holes and is read only when it is written."""

    permissions: int = 0o644
    content: Image

    @property
    def file_type(self) -> int:
        return stat.S_IFREG


@dataclass(slots=True, eq=False, kw_only=True)
class Symlink(Node):
    """A symbolic link."""

    permissions: int = 0o777
    target: bytes

    @property
    def file_type(self) -> int:
        return stat.S_IFLNK


@dataclass(slots=True, eq=False, kw_only=True)
class Device(Node):
    """A character or block device."""

    permissions: int = 0o600
    block: bool
    major: int
    minor: int

    @property
    def file_type(self) -> int:
        return stat.S_IFBLK if self.block else stat.S_IFCHR


@dataclass(slots=True, eq=False, kw_only=True)
class Fifo(Node):
    """A named pipe."""

    permissions: int = 0o600

    @property
    def file_type(self) -> int:
        return stat.S_IFIFO


@dataclass(slots=True, eq=False, kw_only=True)
class Socket(Node):
    """A Unix domain socket in the file system."""

    permissions: int = 0o600

    @property
    def file_type(self) -> int:
        return stat.S_IFSOCK


def walk(root: Directory) -> Iterator[tuple[bytes, Node]]:
    """Yields (path, node) for all nodes of a tree, depth first, parents before children, sorted by the bytes of names.

    Paths are relative to the root, without a leading slash; that of the root is `b""`. A hard link is yielded once for
    each of its names.
    """
    stack: list[tuple[bytes, Node]] = [(b"", root)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if isinstance(node, Directory):
            prefix = path + b"/" if path else b""
            stack.extend((prefix + name, child) for name, child in reversed(node.sorted_entries()))
