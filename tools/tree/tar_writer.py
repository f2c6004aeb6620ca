"""Writes trees as tar archives: described as images whose contents stay ranges of where they are.

Headers are those of `tools.tar.member_header`. Access control lists are in the keywords SCHILY.acl.*, other extended
attributes in SCHILY.xattr.*; GNU tar, libarchive and Python's tarfile read all of it. Sources: as for `tools.tar`.
"""

from __future__ import annotations

from typing import Any

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.image.holes import BLOCK_SIZE, data_ranges, packed
from tools.tar import acl, header, pax
from tools.tar.member_header import Records, SparseFile, member_header
from tools.tree.compare import printable
from tools.tree.node import Device, Directory, Fifo, File, Node, Symlink, walk

_ACLS = {acl.ACCESS: pax.ACL_ACCESS, acl.DEFAULT: pax.ACL_DEFAULT}


def tar_image(root: Directory) -> Image:
    """Returns the archive of a tree. Its bytes depend on nothing but the tree.

    Members are in the order of `walk`, so the first is the root, `./`. The first name of a hard link has the content,
    the others name it. Owners have no names. Files with holes of 4 KiB or more are stored without them.

    Raises:
        UserError: the tree has a socket, or an access control list that is none.
    """
    extents: list[Extent] = []
    position = 0
    names: dict[Node, bytes] = {}
    for path, node in walk(root):
        first = path if isinstance(node, Directory) else names.setdefault(node, path)
        head, content = _member(path, node) if first == path else (_hard_link(path, first, node), Image(0))
        extents.append(Extent(position, len(head), Data(head)))
        position += len(head)
        extents += [extent.moved(position) for extent in content.extents]
        position += header.padded(content.size)
    return Image(header.archive_size(position), extents)


def _member(path: bytes, node: Node) -> tuple[bytes, Image]:
    """Returns all that stands before a member's data, and its data."""
    records = _xattr_records(path, node)
    match node:
        case File():
            return _file(path, node, records)
        case Directory():
            return _header(path + b"/" if path else b"./", header.DIRECTORY, node, records=records), Image(0)
        case Symlink():
            return _header(path, header.SYMLINK, node, records=records, link=node.target), Image(0)
        case Device():
            kind = header.BLOCK_DEVICE if node.block else header.CHARACTER_DEVICE
            return _header(path, kind, node, records=records, device=(node.major, node.minor)), Image(0)
        case Fifo():
            return _header(path, header.FIFO, node, records=records), Image(0)
    raise UserError(f"{printable(path)}: is a socket, which an archive cannot hold; leave it out")


def _hard_link(path: bytes, first: bytes, node: Node) -> bytes:
    return _header(path, header.HARD_LINK, node, link=first)


def _file(path: bytes, node: File, records: Records) -> tuple[bytes, Image]:
    content, sparse_file = node.content, None
    ranges = data_ranges(content)
    if content.size - sum(end - begin for begin, end in ranges) >= BLOCK_SIZE:
        content, sparse_file = packed(content, ranges), SparseFile(ranges, content.size)
    head = _header(path, header.REGULAR, node, records=records, size=content.size, sparse_file=sparse_file)
    return head, content


def _header(path: bytes, kind: bytes, node: Node, **more: Any) -> bytes:
    return member_header(path, kind, mode=node.permissions, uid=node.uid, gid=node.gid, mtime_ns=node.mtime_ns, **more)


def _xattr_records(path: bytes, node: Node) -> Records:
    records = []
    for name, value in sorted(node.xattrs.items()):
        if name in _ACLS:
            try:
                records.append((_ACLS[name], acl.to_text(value)))
            except ValueError as error:
                raise UserError(f"{printable(path)}: {error}") from error
        else:
            records.append((pax.xattr_keyword(name), value))
    return records
