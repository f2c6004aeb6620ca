"""Reads the image of an ext4 file system into a tree."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import Any

from tools.ext4.format.constants import ROOT_INODE, InodeFlag
from tools.ext4.format.directory import DamagedDirectoryError, Entry, checksum_is_right, parse_block
from tools.ext4.format.htree import index_checksum_is_right
from tools.ext4.format.inode import POINTER_SIZE, Inode
from tools.ext4.format.superblock import Superblock
from tools.ext4.volume import Volume
from tools.image.extents import Image
from tools.tree.compare import printable
from tools.tree.device_number import parse_device
from tools.tree.inodes import read_tree
from tools.tree.node import Device, Directory, Fifo, File, Node, Socket, Symlink


@dataclass(frozen=True, slots=True)
class Ext4FileSystem:
    """An ext4 file system read from an image.

    Attributes:
        superblock: its superblock.
        root: its tree, including lost+found. File contents are ranges of the image.
    """

    superblock: Superblock
    root: Directory


def read_ext4(image: Image, name: str = "image") -> Ext4FileSystem:
    """Reads an ext4 file system that was cleanly unmounted, or never mounted.

    Only metadata is read, and its checksums are verified. Hard links become one node under several names. Work and
    memory follow the amount of metadata in the image, also where it is damaged or made to cost much: no block counts
    for two directories or extent trees, and all inodes together have no more blocks than the file system.

    Args:
        image: the file system; bytes after its end are ignored.
        name: name of the image in messages.

    Raises:
        UserError: the image is no ext4 file system, is damaged, needs journal recovery, or has unsupported features.
    """
    volume = Volume(image, name)
    return Ext4FileSystem(volume.superblock, _Tree(volume).read())


class _Tree:
    """Reads the tree of a volume."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    def read(self) -> Directory:
        return read_tree(
            ROOT_INODE,
            entries_of=self._entries,
            inode_of=self.volume.inode,
            node_of=self._node,
            damage=self.volume.damage,
        )

    def _entries(self, path: bytes, number: int, inode: Inode) -> list[Entry]:
        """Returns the entries of a directory, without `.` and `..`."""
        try:
            return self._checked_entries(number, inode)
        except DamagedDirectoryError as error:
            raise self.volume.damage(f"{printable(path)} (inode {number}): {error}") from None

    def _checked_entries(self, number: int, inode: Inode) -> list[Entry]:
        volume = self.volume
        block_size = volume.superblock.block_size
        seed = volume.inode_seed(number, inode)
        entries: list[Entry] = []
        expected = 0
        for logical, physical, length, is_written in volume.mappings(number, inode):
            if logical != expected or not is_written:
                break
            expected += length
            for offset in range(length):
                block = volume.own_block(physical + offset)
                is_index = bool(inode.flags & InodeFlag.INDEX)
                if seed is not None and not _checksum_is_right(block, seed, logical + offset, is_indexed=is_index):
                    raise DamagedDirectoryError(f"block {logical + offset} has a wrong checksum")
                entries += parse_block(block)
        if not expected or expected * block_size != inode.size:
            raise DamagedDirectoryError(f"size {inode.size} does not match its blocks")
        return entries

    def _node(self, number: int, inode: Inode) -> Node:
        volume = self.volume
        if number == ROOT_INODE and not stat.S_ISDIR(inode.mode):
            raise volume.damage("the root is not a directory")
        common: dict[str, Any] = {
            "permissions": stat.S_IMODE(inode.mode),
            "uid": inode.uid,
            "gid": inode.gid,
            "mtime_ns": inode.mtime_ns,
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
                major, minor = _device(inode.pointer)
                return Device(block=stat.S_ISBLK(inode.mode), major=major, minor=minor, **common)
            case stat.S_IFIFO:
                return Fifo(**common)
            case stat.S_IFSOCK:
                return Socket(**common)
        raise volume.damage(f"inode {number} has the impossible mode {inode.mode:#o}")

    def _target(self, number: int, inode: Inode) -> bytes:
        volume = self.volume
        if not 0 < inode.size < volume.superblock.block_size:
            raise volume.damage(f"inode {number}, a symbolic link, has the impossible size {inode.size}")
        if inode.size < POINTER_SIZE and not inode.flags & InodeFlag.EXTENTS:
            return inode.pointer[: inode.size]
        return volume.content(number, inode).read(0, inode.size)


def _checksum_is_right(block: bytes, seed: int, logical: int, *, is_indexed: bool) -> bool:
    if is_indexed:
        is_right = index_checksum_is_right(block, seed, is_root=not logical)
        if is_right is not None:
            return is_right
    return checksum_is_right(block, seed)


def _device(pointer: bytes) -> tuple[int, int]:
    """Returns the major and minor number in i_block, in the old 16-bit or the new 32-bit encoding."""
    old = int.from_bytes(pointer[:4], "little")
    if old:
        return old >> 8 & 0xFF, old & 0xFF
    return parse_device(int.from_bytes(pointer[4:8], "little"))
