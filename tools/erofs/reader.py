"""Reads the image of an EROFS file system without compression into a tree."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import Any

from tools.core.text import escaped
from tools.erofs.directory import Entry, parse_block
from tools.erofs.format import Inode, Layout, Superblock
from tools.erofs.volume import Volume
from tools.image.extents import Image
from tools.tree.compare import printable
from tools.tree.device_number import parse_device
from tools.tree.inodes import read_tree
from tools.tree.node import Device, Directory, Fifo, File, Node, Socket, Symlink

_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class ErofsFileSystem:
    """An EROFS file system read from an image.

    Attributes:
        superblock: its superblock.
        root: its tree. File contents are ranges of the image.
    """

    superblock: Superblock
    root: Directory


def read_erofs(image: Image, name: str = "image") -> ErofsFileSystem:
    """Reads an EROFS file system.

    Only metadata is read. Hard links become one node under several names. Work and memory follow the amount of data in
    the image, also where it is damaged or made to cost much; see `Volume`.

    Args:
        image: the file system; bytes after its end are ignored.
        name: name of the image in messages.

    Raises:
        UserError: the image is no EROFS file system, is damaged, or has unsupported features, such as compression.
    """
    volume = Volume(image, name)
    return ErofsFileSystem(volume.superblock, _Tree(volume).read())


class _Tree:
    """Reads the tree of a volume."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    def read(self) -> Directory:
        return read_tree(
            self.volume.superblock.root_nid,
            entries_of=self._entries,
            inode_of=self.volume.inode,
            node_of=self._node,
            damage=self.volume.damage,
        )

    def _entries(self, path: bytes, number: int, inode: Inode) -> list[Entry]:
        """Returns the entries of a directory, without `.` and `..`."""
        volume = self.volume
        entries: list[Entry] = []
        last = b""
        try:
            for block in volume.blocks(number, inode):
                for entry in parse_block(block):
                    if entry.name <= last:
                        raise ValueError(f"{escaped(entry.name)} follows {escaped(last)}, which is not in order")
                    last = entry.name
                    if last not in (b".", b".."):
                        entries.append(entry)
        except ValueError as error:
            raise volume.damage(f"{printable(path)} (inode {number}): {error}") from None
        return entries

    def _node(self, number: int, inode: Inode) -> Node:
        volume = self.volume
        superblock = volume.superblock
        seconds, nanoseconds = inode.mtime, inode.mtime_ns
        if seconds is None:
            seconds, nanoseconds = superblock.build_time + inode.after_build, superblock.build_time_ns
        common: dict[str, Any] = {
            "permissions": stat.S_IMODE(inode.mode),
            "uid": inode.uid,
            "gid": inode.gid,
            "mtime_ns": seconds * _NANOSECONDS + nanoseconds,
            "xattrs": volume.xattrs(number, inode),
            "origin": volume.name,
        }
        match stat.S_IFMT(inode.mode):
            case stat.S_IFREG:
                return File(content=volume.content(number, inode), **common)
            case stat.S_IFDIR:
                return Directory(**common)
            case stat.S_IFLNK:
                return Symlink(target=self._target(number, inode), **common)
            case stat.S_IFCHR | stat.S_IFBLK:
                major, minor = parse_device(inode.place)
                return Device(block=stat.S_ISBLK(inode.mode), major=major, minor=minor, **common)
            case stat.S_IFIFO:
                return Fifo(**common)
            case stat.S_IFSOCK:
                return Socket(**common)
        raise volume.damage(f"inode {number} has the impossible mode {inode.mode:#o}")

    def _target(self, number: int, inode: Inode) -> bytes:
        volume = self.volume
        if not 0 < inode.size < volume.superblock.block_size or inode.layout == Layout.CHUNK_BASED:
            raise volume.damage(f"inode {number}, a symbolic link, has the impossible size {inode.size}")
        (target,) = volume.blocks(number, inode)
        return target
