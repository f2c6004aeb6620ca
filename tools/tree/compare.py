"""Comparison of two trees: what differs, path by path and field by field."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tools.core.text import escaped
from tools.image.compare import first_difference
from tools.tree.node import Device, Directory, File, Node, Symlink, walk

FIELDS = ("type", "permissions", "uid", "gid", "mtime", "xattrs", "size", "content", "target", "device", "links")
"""What is compared; `links` is the set of the other names of a hard link."""

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True)
class Difference:
    """One way in which two trees differ.

    Attributes:
        path: as `walk` gives it, `b""` for the root.
        field: one of FIELDS, or `path` where only one tree has the path.
        left: the value in the first tree, in words; empty if it has none.
        right: the value in the second tree.
    """

    path: bytes
    field: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.field}: {self.left or 'none'} / {self.right or 'none'}"


def printable(path: bytes) -> str:
    """Returns a path from the root as text: with its leading slash, and escapes for what is not printable UTF-8."""
    return "/" + escaped(path)


def seconds(mtime_ns: int) -> str:
    """Returns a time in nanoseconds as decimal seconds, with all nine digits."""
    return f"{'-' if mtime_ns < 0 else ''}{abs(mtime_ns) // 10**9}.{abs(mtime_ns) % 10**9:09}"


def type_name(node: Node) -> str:
    """Returns the type of a node in words, as messages name it."""
    return _TYPES[node.file_type]


def node_differences(one: Node, other: Node, ignore: Collection[str] = ()) -> Iterator[tuple[str, str, str]]:
    """Yields the fields in which two nodes differ, with both values in words; links and entries are not compared."""
    for field in FIELDS:
        if field != "links" and field not in ignore:
            left, right = _values(field, one, other)
            if left != right:
                yield field, left, right


def differences(left: Directory, right: Directory, ignore: Collection[str] = ()) -> Iterator[Difference]:
    """Yields what differs between two trees, in the order of the paths' bytes.

    A path that one tree lacks is named once, without what lies below it. Contents are compared by what they read as:
    a hole equals zeros.

    Args:
        left: one tree.
        right: the other tree.
        ignore: those of FIELDS that may differ.
    """
    names = _names(left), _names(right)
    stack: list[tuple[bytes, Node | None, Node | None]] = [(b"", left, right)]
    while stack:
        path, one, other = stack.pop()
        if one is None or other is None:
            yield Difference(path, "path", type_name(one) if one else "", type_name(other) if other else "")
            continue
        for field in node_differences(one, other, ignore):
            yield Difference(path, *field)
        if "links" not in ignore:
            yield from _link_differences(path, names[0].get(one, []), names[1].get(other, []))
        if isinstance(one, Directory) and isinstance(other, Directory):
            prefix = path + b"/" if path else b""
            both = sorted(one.entries.keys() | other.entries.keys(), reverse=True)
            stack.extend((prefix + name, one.entries.get(name), other.entries.get(name)) for name in both)


def _names(root: Directory) -> dict[Node, list[bytes]]:
    """Returns the paths of every node that is no directory."""
    names: dict[Node, list[bytes]] = {}
    for path, node in walk(root):
        if not isinstance(node, Directory):
            names.setdefault(node, []).append(path)
    return names


def _link_differences(path: bytes, left: list[bytes], right: list[bytes]) -> Iterator[Difference]:
    """Yields a difference in the names of a node, at the first of them alone: a node may have many."""
    if path in (left[:1] + right[:1]) and left != right:
        yield Difference(path, "links", _linked(left), _linked(right))


def _linked(paths: list[bytes]) -> str:
    return ", ".join(map(printable, paths)) if len(paths) > 1 else ""


def _values(field: str, one: Node, other: Node) -> tuple[str, str]:
    """Returns what two nodes have in a field, in words; equal words for what is equal or has no meaning for them."""
    if field == "content":
        return _contents(one, other)
    if field == "xattrs":
        return _xattrs(one, other), _xattrs(other, one)
    return _value(field, one), _value(field, other)


def _value(field: str, node: Node) -> str:
    match field, node:
        case "type", _:
            value = type_name(node)
        case "permissions", _:
            value = f"{node.permissions:04o}"
        case (("uid" | "gid"), _):
            value = str(getattr(node, field))
        case "mtime", _:
            value = seconds(node.mtime_ns)
        case "size", File(content=content):
            value = str(content.size)
        case "target", Symlink(target=target):
            value = escaped(target)
        case "device", Device(major=major, minor=minor):
            value = f"{major}:{minor}"
        case _:
            value = ""
    return value


def _xattrs(node: Node, other: Node) -> str:
    """Returns those extended attributes of a node that another one hasn't, or has with other values."""
    if node.xattrs == other.xattrs:
        return ""
    own = sorted((name, value) for name, value in node.xattrs.items() if other.xattrs.get(name) != value)
    return ", ".join(f"{escaped(name)}={_shown(value)}" for name, value in own)


def _shown(value: bytes) -> str:
    """Returns a value as text if it is that, maybe with a NUL at the end, else in hexadecimal digits."""
    text = value.removesuffix(b"\0")
    if text and all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in text):
        return f'"{text.decode()}{"" if text == value else chr(92) + "0"}"'
    return f"0x{value.hex()}"


def _contents(one: Node, other: Node) -> tuple[str, str]:
    """Returns the first byte in which two files of the same size differ."""
    if not isinstance(one, File) or not isinstance(other, File) or one.content.size != other.content.size:
        return "", ""
    offset = first_difference(one.content, other.content)
    if offset is None:
        return "", ""
    values = (f"byte {offset} is 0x{file.content.read(offset, 1).hex()}" for file in (one, other))
    return next(values), next(values)
