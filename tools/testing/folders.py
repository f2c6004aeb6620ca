"""Reads directories of the machine as trees, to compare them with what tools or the kernel read from an image."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from tools.image.extents import Extent, FileRange, Image, InputFile
from tools.tree.node import Device, Directory, Fifo, File, Node, Socket, Symlink


def read_folder(folder: Path) -> Directory:
    """Returns a directory as a tree, including hard links and extended attributes.

    Files are opened when their contents are read; holes are read as data. Raises an `OSError` for a directory that
    can't be listed.
    """
    nodes: dict[tuple[int, int], Node] = {}
    root = _node(os.fsencode(folder))
    assert isinstance(root, Directory)
    stack = [(os.fsencode(folder), root)]
    while stack:
        path, directory = stack.pop()
        for name in os.listdir(path):
            below = os.path.join(path, name)
            status = os.lstat(below)
            key = (status.st_dev, status.st_ino)
            node = nodes.get(key) or _node(below)
            directory.entries[name] = node
            if isinstance(node, Directory):
                stack.append((below, node))
            elif status.st_nlink > 1:
                nodes[key] = node
    return root


def _xattrs(path: bytes) -> list[str]:
    """Returns the names of the extended attributes; a file system without any may not support them."""
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []


def _node(path: bytes) -> Node:
    status = os.lstat(path)
    common: dict[str, Any] = {
        "permissions": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime_ns": status.st_mtime_ns,
        "xattrs": {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in _xattrs(path)},
        "origin": os.fsdecode(path),
    }
    match stat.S_IFMT(status.st_mode):
        case stat.S_IFREG:
            extent = Extent(0, status.st_size, FileRange(InputFile(os.fsdecode(path))))
            return File(content=Image(status.st_size, [extent]), **common)
        case stat.S_IFDIR:
            return Directory(**common)
        case stat.S_IFLNK:
            return Symlink(target=os.readlink(path), **common)
        case stat.S_IFIFO:
            return Fifo(**common)
        case stat.S_IFSOCK:
            return Socket(**common)
    is_block = stat.S_ISBLK(status.st_mode)
    return Device(block=is_block, major=os.major(status.st_rdev), minor=os.minor(status.st_rdev), **common)
