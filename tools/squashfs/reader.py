"""Reads the image of a SquashFS file system into a tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tools.image.extents import Image
from tools.squashfs.directory import Entry
from tools.squashfs.format import InodeType, Superblock
from tools.squashfs.inode import DeviceInode, DirectoryInode, FileInode, Inode, SymlinkInode
from tools.squashfs.node_type import type_of
from tools.squashfs.volume import Volume
from tools.tree.compare import printable
from tools.tree.device_number import parse_device
from tools.tree.inodes import read_tree
from tools.tree.node import Device, Directory, Fifo, File, Node, Socket, Symlink

_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class SquashfsFileSystem:
    """A SquashFS file system read from an image.

    Attributes:
        superblock: its superblock.
        root: its tree. File contents are decompressed when they are read.
    """

    superblock: Superblock
    root: Directory


def read_squashfs(image: Image, name: str = "image") -> SquashfsFileSystem:
    """Reads a SquashFS file system with the compression gzip, xz or zstd.

    Only metadata is read. Hard links become one node under several names. Memory follows the amount of data in the
    image, also where it is damaged or made to cost much; `tools.squashfs.tables` has the factor.

    Args:
        image: the file system; bytes after its end are ignored.
        name: name of the image in messages.

    Raises:
        UserError: the image is no SquashFS file system, is damaged, or has an unsupported compression. Damage in the
            content of a file is found when it is read.
    """
    volume = Volume(image, name)
    return SquashfsFileSystem(volume.superblock, _Tree(volume).read())


class _Tree:
    """Reads the tree of a volume; the number of an inode is the reference to it."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    def read(self) -> Directory:
        return read_tree(
            self.volume.superblock.root,
            entries_of=self._entries,
            inode_of=self.volume.inode,
            node_of=self._node,
            damage=self.volume.damage,
            type_of=type_of,
        )

    def _entries(self, path: bytes, _reference: int, inode: Inode) -> list[tuple[bytes, int, int]]:
        assert isinstance(inode, DirectoryInode)
        try:
            return [_numbered(entry) for entry in self.volume.entries(inode)]
        except ValueError as error:
            raise self.volume.damage(f"{printable(path)} (inode {inode.number}): {error}") from None

    def _node(self, _reference: int, inode: Inode) -> Node:
        volume = self.volume
        common: dict[str, Any] = {
            "permissions": inode.permissions,
            "uid": volume.identifier(inode.uid),
            "gid": volume.identifier(inode.gid),
            "mtime_ns": inode.mtime * _NANOSECONDS,
            "xattrs": volume.xattrs(inode),
            "origin": volume.name,
        }
        match inode:
            case FileInode():
                return File(content=volume.content(inode), **common)
            case DirectoryInode():
                return Directory(**common)
            case SymlinkInode(target=target) if b"\0" not in target:
                return Symlink(target=target, **common)
            case DeviceInode(device=device):
                major, minor = parse_device(device)
                return Device(block=inode.type == InodeType.BLOCK_DEVICE, major=major, minor=minor, **common)
        if inode.type == InodeType.SYMLINK:
            raise volume.damage(f"inode {inode.number}, a symbolic link, has a target with a NUL")
        return Fifo(**common) if inode.type == InodeType.FIFO else Socket(**common)


def _numbered(entry: Entry) -> tuple[bytes, int, int]:
    return entry.name, entry.reference, entry.type
