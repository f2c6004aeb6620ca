"""Writes cpio archives, the format of an initramfs.

See Linux Documentation/driver-api/early-userspace/buffer-format.rst, and cpio(5), "New ASCII Format".
"""

from __future__ import annotations

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.tree.node import Device, Directory, File, Node, Symlink, walk

_MAGIC = b"070701"
_TRAILER = b"TRAILER!!!"
_ALIGNMENT = 4
_LARGEST_FIELD = 0xFFFFFFFF
_PATH_MAX = 4096
"""Maximum size of a path in bytes, with NUL; the kernel ignores entries with longer ones (init/initramfs.c)."""


def cpio(root: Directory) -> Image:
    """Returns a tree as a cpio archive; contents are ranges of their sources.

    Times are zero, and each name of a hard link is a separate file, since an initramfs needs neither.

    Args:
        root: the tree.

    Raises:
        UserError: the format cannot store something in the tree.
    """
    extents: list[Extent] = []
    position = 0
    entries = [(path, node) for path, node in walk(root) if path]
    for number, (path, node) in enumerate(entries, 1):
        content = _content(path, node)
        header = _header(path, content.size, number, node)
        extents.append(Extent(position, len(header), Data(header)))
        position += len(header)
        extents += [extent.moved(position) for extent in content.extents]
        position = _aligned(position + content.size)
    trailer = _header(_TRAILER, 0, 0, None)
    extents.append(Extent(position, len(trailer), Data(trailer)))
    return Image(position + len(trailer), extents)


def _content(path: bytes, node: Node) -> Image:
    match node:
        case File():
            if node.content.size > _LARGEST_FIELD:
                raise UserError(f"/{path.decode(errors='replace')}: is too large for an initramfs: 4 GiB or more")
            return node.content
        case Symlink():
            return Image.from_bytes(node.target)
        case _:
            return Image(0)


def _header(path: bytes, size: int, number: int, node: Node | None) -> bytes:
    """Packs the header and path of an entry; `node` is None for the end of the archive."""
    name = path + b"\0"
    if node is not None and path == _TRAILER:
        raise UserError(f"/{path.decode()}: has the name of the entry that ends the archive")
    if len(name) > _PATH_MAX:
        raise UserError(f"/{path.decode(errors='replace')}: is a path of more than {_PATH_MAX - 1} bytes")
    if node is not None and node.xattrs:
        attribute = min(node.xattrs).decode(errors="replace")
        raise UserError(f"/{path.decode(errors='replace')}: has {attribute}, which the format cannot store")
    mode, uid, gid = (node.mode, node.uid, node.gid) if node is not None else (0, 0, 0)
    major, minor = (node.major, node.minor) if isinstance(node, Device) else (0, 0)
    links = 2 if isinstance(node, Directory) else 1
    fields = (number, mode, uid, gid, links, 0, size, 0, 0, major, minor, len(name), 0)
    header = _MAGIC + b"".join(b"%08X" % field for field in fields) + name
    return header.ljust(_aligned(len(header)), b"\0")


def _aligned(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT
