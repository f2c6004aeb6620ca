"""The nodes of a tree: files, directories and the rest, with the metadata that a file system keeps.

Names and link targets are bytes, as they are to the kernel. A node that stands under several names is a hard link:
the same object is the value of several directory entries.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.image.extents import Image

NAME_MAX = 255
"""The longest name in a directory, in bytes (Linux limits.h)."""


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """What every node has.

    Attributes:
        permissions: the mode without the file type: 0o7777 at most, setuid, setgid and sticky bits included.
        uid: the owner.
        gid: the group.
        mtime_ns: the time of the last modification, in nanoseconds since the epoch.
        xattrs: extended attributes by full name (`b"security.capability"`).
        origin: where the node was taken from (an archive, a label, a line), for error messages.
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
        """File type and permissions, as in `st_mode`."""
        return self.file_type | self.permissions


@dataclass(slots=True, eq=False, kw_only=True)
class Directory(Node):
    """A directory; its entries have no order of their own, see `sorted_entries`."""

    permissions: int = 0o755
    entries: dict[bytes, Node] = field(default_factory=dict)

    @property
    def file_type(self) -> int:
        return stat.S_IFDIR

    def sorted_entries(self) -> list[tuple[bytes, Node]]:
        """Returns names and nodes in the order in which every writer takes them: by the names' bytes."""
        return sorted(self.entries.items())


@dataclass(slots=True, eq=False, kw_only=True)
class File(Node):
    """A regular file; its content is an image, so that a sparse file stays sparse and nothing is read early."""

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
    """A socket's name in the file system."""

    permissions: int = 0o600

    @property
    def file_type(self) -> int:
        return stat.S_IFSOCK


def walk(root: Directory) -> Iterator[tuple[bytes, Node]]:
    """Yields (path, node) for everything in a tree, parents first, in the order of the names' bytes.

    Paths are relative to the root and without a leading slash; the root itself is `b""`. A hard link is yielded once
    for each of its names.
    """
    stack: list[tuple[bytes, Node]] = [(b"", root)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if isinstance(node, Directory):
            prefix = path + b"/" if path else b""
            stack.extend((prefix + name, child) for name, child in reversed(node.sorted_entries()))
