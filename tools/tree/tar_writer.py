"""Writes trees as tar archives; the archives are images, with contents as ranges of their sources.

The format is POSIX pax, with an extended header only if a value doesn't fit in the ustar header. Access control lists
are in SCHILY.acl.* records, other extended attributes in SCHILY.xattr.*, and files with holes in GNU tar's sparse
format 1.0, all of which GNU tar, libarchive and Python's tarfile support. See `tools.tar` for the specifications.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.image.holes import BLOCK_SIZE, data_ranges, packed
from tools.tar import acl, header, pax, sparse
from tools.tree.compare import printable
from tools.tree.node import Device, Directory, Fifo, File, Node, Symlink, walk

_NAME, _PREFIX = 100, 155
_RECORD = 20 * header.BLOCK
"""Record size in bytes; archives are padded to a multiple of it. 20 is the default blocking factor of tar."""

_ACLS = {acl.ACCESS: pax.ACL_ACCESS, acl.DEFAULT: pax.ACL_DEFAULT}

Records = list[tuple[bytes, bytes]]


def tar_image(root: Directory) -> Image:
    """Returns a tree as a tar archive. It depends only on the tree.

    Members are in the order of `walk`, so the first is the root, `./`. The first name of a hard link has the content,
    the others are links to it. User and group names are empty. Files with holes of 4 KiB or more are sparse members.

    Raises:
        UserError: the tree has a socket, or an invalid access control list.
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
    size = -(-(position + len(header.END)) // _RECORD) * _RECORD
    return Image(size, extents)


def _member(path: bytes, node: Node) -> tuple[bytes, Image]:
    """Returns the headers of a member, and its data."""
    records = _xattr_records(path, node)
    match node:
        case File():
            return _file(path, node, records)
        case Directory():
            return _head(path + b"/" if path else b"./", header.DIRECTORY, node, records), Image(0)
        case Symlink():
            return _head(path, header.SYMLINK, node, records, link=node.target), Image(0)
        case Device():
            kind = header.BLOCK_DEVICE if node.block else header.CHARACTER_DEVICE
            return _head(path, kind, node, records, device=(node.major, node.minor)), Image(0)
        case Fifo():
            return _head(path, header.FIFO, node, records), Image(0)
    raise UserError(f"{printable(path)}: is a socket, which a tar archive cannot store; remove it")


def _hard_link(path: bytes, first: bytes, node: Node) -> bytes:
    return _head(path, header.HARD_LINK, node, [], link=first)


def _file(path: bytes, node: File, records: Records) -> tuple[bytes, Image]:
    content = node.content
    ranges = data_ranges(content)
    if content.size - sum(end - begin for begin, end in ranges) < BLOCK_SIZE:
        return _head(path, header.REGULAR, node, records, size=content.size), content
    table = sparse.build_data([(begin, end - begin) for begin, end in ranges], content.size)
    data = packed(content, ranges)
    records += [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", path),
        (b"GNU.sparse.realsize", b"%d" % content.size),
    ]
    # Readers without support for sparse members extract the map and the data under this name.
    stand_in = (b"GNUSparseFile.0/" + path.rpartition(b"/")[2])[:_NAME]
    return _head(stand_in, header.REGULAR, node, records, size=len(table) + data.size) + table, data


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


def _head(
    path: bytes,
    kind: bytes,
    node: Node,
    records: Records,
    *,
    size: int = 0,
    link: bytes = b"",
    device: tuple[int, int] | None = None,
) -> bytes:
    """Packs the header of a member, preceded by an extended header if it needs one."""
    prefix, name = _split(path)
    seconds, fraction = divmod(node.mtime_ns, 10**9)
    texts: Records = []
    if len(name) > _NAME:
        texts.append((b"path", path))
    if len(link) > _NAME:
        texts.append((b"linkpath", link))
    numbers = [(b"uid", node.uid, 8), (b"gid", node.gid, 8), (b"size", size, 12)]
    fields = {keyword: _limited(value, width) for keyword, value, width in numbers}
    texts += [(keyword, b"%d" % value) for keyword, value, width in numbers if not header.fits(value, width)]
    if fraction or not header.fits(seconds, 12):
        texts.append((b"mtime", pax.format_time(node.mtime_ns)))
    main = header.build(
        name[:_NAME],
        kind,
        mode=node.permissions,
        uid=fields[b"uid"],
        gid=fields[b"gid"],
        size=fields[b"size"],
        mtime=_limited(seconds, 12),
        link=link[:_NAME],
        device=device,
        prefix=prefix,
    )
    return _extended(path, [*texts, *records]) + main


def _limited(value: int, width: int) -> int:
    """Returns a value limited to the range of an octal field; the extended header then has the actual one."""
    return min(max(value, 0), (1 << 3 * (width - 1)) - 1)


def _split(path: bytes) -> tuple[bytes, bytes]:
    """Splits a path into prefix and name of a ustar header; the prefix is empty if the path can't be split."""
    if len(path) > _NAME:
        slash = path.find(b"/", len(path) - _NAME - 1, len(path) - 1)
        if 0 < slash <= _PREFIX:
            return path[:slash], path[slash + 1 :]
    return b"", path


def _extended(path: bytes, records: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Packs an extended header; empty if there are no records."""
    if not records:
        return b""
    if not all(_is_utf8(value) for keyword, value in records if keyword in (b"path", b"linkpath", b"GNU.sparse.name")):
        records = [(b"hdrcharset", b"BINARY"), *records]
    data = pax.build(records)
    name = (b"PaxHeaders/" + path.rstrip(b"/").rpartition(b"/")[2])[:_NAME]
    return header.build(name, header.PAX, mode=0o644, size=len(data)) + data.ljust(header.padded(len(data)), b"\0")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
