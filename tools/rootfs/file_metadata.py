"""Sets owners, capabilities and extended attributes of paths in a root tree."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from tools.core.errors import UserError
from tools.rootfs.tree_spec import MetadataSpec
from tools.tree import capability
from tools.tree.compare import printable, type_name
from tools.tree.node import Directory, File, Node
from tools.tree.select import select

_MAX_ID = (1 << 32) - 2
_NAMESPACES = ("security.", "trusted.", "user.")

_T = TypeVar("_T")
_Change = Callable[[Node], None]


def set_metadata(root: Directory, spec: MetadataSpec, label: str) -> None:
    """Sets what a specification says, for all paths that its patterns select. Symbolic links are not followed.

    Args:
        root: of the tree.
        spec: patterns, with values.
        label: where the specification is from, for messages.

    Raises:
        UserError: a pattern selects nothing, a value is invalid, or a node of that type can't have it.
    """
    _change(root, spec.owners, _owner, f"{label}: owners")
    _change(root, spec.xattrs, _xattrs, f"{label}: xattrs")
    _change(root, spec.capabilities, _capability, f"{label}: capabilities")


def parse_owner(text: str) -> tuple[int, int]:
    """Returns the user and the group ID in `UID:GID`.

    Raises:
        UserError: it is not that.
    """
    numbers = text.split(":")
    if len(numbers) != 2 or not all(re.fullmatch("[0-9]{1,10}", number) for number in numbers):
        raise UserError(f"owner {text[:40]!r} is not UID:GID with numeric IDs")
    uid, gid = map(int, numbers)
    if max(uid, gid) > _MAX_ID:
        raise UserError(f"owner {text[:40]!r} has an ID above {_MAX_ID}")
    return uid, gid


def _change(root: Directory, values: Mapping[str, _T], parse: Callable[[_T], _Change], where: str) -> None:
    """Changes the nodes that patterns select.

    Args:
        root: of the tree.
        values: by pattern.
        parse: returns, for a value, the function that changes a node.
        where: what the values are from, for messages.
    """
    for pattern, value in values.items():
        try:
            change = parse(value)
            places = select(root, pattern)
            if not places:
                raise UserError("matches no path")
        except UserError as error:
            raise UserError(f"{where}: {pattern}: {error}") from error
        for directory, name in places:
            try:
                change(directory.entries[name])
            except UserError as error:
                raise UserError(f"{where}: {pattern}: {printable(name)[1:]} {error}") from error


def _owner(text: str) -> _Change:
    uid, gid = parse_owner(text)

    def change(node: Node) -> None:
        node.uid, node.gid = uid, gid

    return change


def _capability(text: str) -> _Change:
    try:
        value = capability.from_text(text)
    except ValueError as error:
        raise UserError(f"{text[:60]!r} {error}") from error

    def change(node: Node) -> None:
        if not isinstance(node, File):
            raise UserError(f"is a {type_name(node)}; only files have capabilities")
        node.xattrs = node.xattrs | {capability.NAME: value}

    return change


def _xattrs(texts: Iterable[str]) -> _Change:
    values = dict(map(_xattr, texts))

    def change(node: Node) -> None:
        if not isinstance(node, File | Directory) and any(name.startswith(b"user.") for name in values):
            raise UserError(f"is a {type_name(node)}; only files and directories have attributes of users")
        node.xattrs = node.xattrs | values

    return change


def _xattr(text: str) -> tuple[bytes, bytes]:
    """Returns name and value of `NAME=VALUE`, with values as setfattr(1) takes them: text, 0x… or 0s…."""
    name, equals, value = text.partition("=")
    if not equals or not name.startswith(_NAMESPACES) or name in _NAMESPACES:
        raise UserError(f"{text[:60]!r} is not NAME=VALUE with a name in {', '.join(_NAMESPACES)[:-1]}")
    if name.encode() == capability.NAME:
        raise UserError(f"{name} is set by the attribute capabilities")
    try:
        return name.encode(), _value(value)
    except ValueError as error:
        raise UserError(f"{text[:60]!r} is not hexadecimal after 0x, or not Base64 after 0s") from error


def _value(text: str) -> bytes:
    if text[:2] in ("0x", "0X"):
        return bytes.fromhex(text[2:])
    if text[:2] in ("0s", "0S"):
        return base64.b64decode(text[2:], validate=True)
    return text.encode("utf-8", "surrogateescape")
