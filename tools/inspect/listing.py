"""Lists of what images hold, as lines for people and as values for JSON: partitions of a disk, files of a tree."""

from __future__ import annotations

import datetime as dt
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tools.core.text import escaped, human_size
from tools.gpt.reader import read_table
from tools.gpt.table import Entry
from tools.image.extents import Image
from tools.inspect.volumes import kind_of
from tools.swap.area import is_swap_area
from tools.tree.compare import printable, seconds, type_name
from tools.tree.node import Device, Directory, File, Node, Symlink, walk

_EPOCH = dt.datetime(1970, 1, 1)


def partition_lines(image: Image, origin: str, *, in_bytes: bool = False) -> Iterator[str]:
    """Yields a header, and a line for each partition of a disk.

    Args:
        image: of the disk.
        origin: what to call it in messages.
        in_bytes: give places and sizes in bytes instead of larger units.
    """
    yield f"{'NR':>3} {'START':>14} {'SIZE':>14} {'GUID':36} {'HOLDS':5} NAME"
    for entry, kind in _partitions(image, origin):
        start, size = (_size(number, in_bytes=in_bytes) for number in (entry.offset, entry.size))
        yield f"{entry.number:3} {start:>14} {size:>14} {entry.uuid} {kind:5} {escaped(entry.name)}"


def partition_values(image: Image, origin: str) -> list[dict[str, Any]]:
    """Returns the partitions of a disk as JSON values; `image_ls` documents the keys."""
    return [
        {
            "number": entry.number,
            "name": entry.name,
            "offset": entry.offset,
            "size": entry.size,
            "guid": str(entry.uuid),
            "type_guid": str(entry.type),
            "holds": kind,
        }
        for entry, kind in _partitions(image, origin)
    ]


def member_lines(members: Mapping[str, Image], *, in_bytes: bool = False) -> Iterator[str]:
    """Yields a header, and a line for each file of an archive.

    Args:
        members: the files by their names.
        in_bytes: give sizes in bytes instead of larger units.
    """
    yield f"{'SIZE':>14} {'HOLDS':8} NAME"
    for name, content in members.items():
        yield f"{_size(content.size, in_bytes=in_bytes):>14} {holds(content):8} {escaped(name)}"


def member_values(members: Mapping[str, Image]) -> list[dict[str, Any]]:
    """Returns the files of an archive as JSON values; `image_ls` documents the keys."""
    return [{"name": name, "size": content.size, "holds": holds(content)} for name, content in members.items()]


def _partitions(image: Image, origin: str) -> Iterator[tuple[Entry, str]]:
    """Yields the partitions of a disk, and what is in each, as `holds` has it."""
    for entry in read_table(image, origin).entries:
        content = image.slice(entry.offset, entry.size)
        yield entry, holds(content)


def holds(content: Image) -> str:
    """Returns what is in a volume: `EROFS`, `ext4`, `FAT`, `SquashFS`, `swap`, `data` or `empty`."""
    if kind := kind_of(content):
        return kind
    if is_swap_area(content):
        return "swap"
    return "data" if content.data_size else "empty"


def nodes_below(node: Node, path: bytes) -> list[tuple[bytes, Node]]:
    """Returns a node and each one below it, with their paths, where `path` is that of the node."""
    found = walk(node) if isinstance(node, Directory) else [(b"", node)]
    return [(b"/".join(part for part in (path, below) if part), each) for below, each in found]


def file_lines(nodes: list[tuple[bytes, Node]], *, in_bytes: bool = False) -> Iterator[str]:
    """Yields a header, and a line for each node, much as `ls -l` does.

    Args:
        nodes: as from `nodes_below`.
        in_bytes: give sizes in bytes instead of larger units.
    """
    yield f"{'MODE':10} {'LINKS':>5} {'UID':>5} {'GID':>5} {'SIZE':>11} {'MODIFIED':20} NAME"
    links = Counter(node for _, node in nodes)
    for path, node in nodes:
        match node:
            case File():
                size = _size(node.content.size, in_bytes=in_bytes)
            case Device():
                size = f"{node.major},{node.minor}"
            case _:
                size = ""
        target = f" -> {escaped(node.target)}" if isinstance(node, Symlink) else ""
        words = (
            f"{stat.filemode(node.mode)} {links[node]:5} {node.uid:5} {node.gid:5} {size:>11} {_time(node.mtime_ns)}"
        )
        yield f"{words} {printable(path)}{target}"


def file_values(nodes: list[tuple[bytes, Node]]) -> list[dict[str, Any]]:
    """Returns nodes as JSON values; `image_ls` documents the keys."""
    links = Counter(node for _, node in nodes)
    return [
        {
            "path": "/" + _text(path),
            "type": type_name(node),
            "mode": f"{node.permissions:04o}",
            "uid": node.uid,
            "gid": node.gid,
            "mtime": seconds(node.mtime_ns),
            "links": links[node],
            "size": node.content.size if isinstance(node, File) else None,
            "target": _text(node.target) if isinstance(node, Symlink) else None,
            "device": [node.major, node.minor] if isinstance(node, Device) else None,
            "xattrs": {_text(name): value.hex() for name, value in sorted(node.xattrs.items())},
        }
        for path, node in nodes
    ]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _size(number: int, *, in_bytes: bool) -> str:
    return str(number) if in_bytes else human_size(number)


def _time(mtime_ns: int) -> str:
    try:
        return f"{_EPOCH + dt.timedelta(seconds=mtime_ns // 10**9):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return seconds(mtime_ns)
