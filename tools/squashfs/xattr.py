"""Packs and parses extended attributes ("3.8 Xattr table" in Linux Documentation/filesystems/squashfs.rst).

Inodes with the same attributes share a list of them. A value that another list has already is stored as a reference.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from tools.image.compression import Encoder
from tools.squashfs.inode import Cursor
from tools.squashfs.metadata import MetadataWriter, pack_offsets, pack_table

_ENTRY = struct.Struct("<HH")
_SIZE = struct.Struct("<I")
_REFERENCE = struct.Struct("<Q")
LIST = struct.Struct("<QII")
"""squashfs_xattr_id: reference to a list, number of its attributes, size in bytes."""

TABLE = struct.Struct("<QII")
"""squashfs_xattr_id_table: offset of the first list, number of lists, padding."""

_ELSEWHERE = 0x100
"""Flag of a type: the value is a reference to where it is stored (SQUASHFS_XATTR_VALUE_OOL)."""

_PREFIXES = {0: b"user.", 1: b"trusted.", 2: b"security."}
_NAME_MAX = 255
_VALUE_MAX = 1 << 16


class XattrTable:
    """The lists of attributes of a file system."""

    def __init__(self, encode: Encoder) -> None:
        """Begins without lists.

        Args:
            encode: compresses a block of metadata.
        """
        self._encode = encode
        self._writer = MetadataWriter(encode)
        self._numbers: dict[tuple[tuple[bytes, bytes], ...], int] = {}
        self._lists: list[bytes] = []
        self._values: dict[bytes, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there are no lists."""
        return not self._lists

    def add(self, xattrs: Mapping[bytes, bytes]) -> int:
        """Returns the number of the list with these attributes.

        Raises:
            ValueError: an attribute cannot be stored.
        """
        key = tuple(sorted(xattrs.items()))
        if key not in self._numbers:
            reference = self._writer.reference
            size = sum(self._append(name, value) for name, value in key)
            self._numbers[key] = len(self._lists)
            self._lists.append(LIST.pack(reference, len(key), size))
        return self._numbers[key]

    def _append(self, name: bytes, value: bytes) -> int:
        """Writes an attribute; returns its size in bytes."""
        kind, suffix = _split(name, value)
        known = self._values.get(value)
        if known is not None and len(value) > _REFERENCE.size:
            kind |= _ELSEWHERE
            value = _REFERENCE.pack(known)
            self._writer.append(_ENTRY.pack(kind, len(suffix)) + suffix)
            self._writer.append(_SIZE.pack(len(value)) + value)
        else:
            self._writer.append(_ENTRY.pack(kind, len(suffix)) + suffix)
            self._values[value] = self._writer.append(_SIZE.pack(len(value)) + value)
        return _ENTRY.size + len(suffix) + _SIZE.size + len(value)

    def pack(self, start: int) -> tuple[bytes, int]:
        """Returns the table as it is stored at an offset, and the offset of its head."""
        lists = self._writer.finish()
        ids, offsets = pack_table(b"".join(self._lists), start + len(lists), self._encode)
        head = TABLE.pack(start, len(self._lists), 0) + pack_offsets(offsets)
        return lists + ids + head, start + len(lists) + len(ids)


def _split(name: bytes, value: bytes) -> tuple[int, bytes]:
    """Returns the type of an attribute, and its name without the prefix; checks both and the value."""
    shown = name.decode("utf-8", "backslashreplace")
    kind = next((kind for kind, prefix in _PREFIXES.items() if name.startswith(prefix) and name != prefix), None)
    if kind is None or b"\0" in name:
        raise ValueError(f"extended attribute {shown!r} has a name that SquashFS cannot store")
    if len(name) > _NAME_MAX:
        raise ValueError(f"extended attribute {shown!r} has a name longer than {_NAME_MAX} bytes")
    if len(value) > _VALUE_MAX:
        raise ValueError(f"extended attribute {shown!r} has a value longer than {_VALUE_MAX} bytes")
    return kind, name[len(_PREFIXES[kind]) :]


def parse_list(cursor: Cursor, count: int, elsewhere: Callable[[int], Cursor]) -> dict[bytes, bytes]:
    """Returns the attributes of a list, by full name.

    Args:
        cursor: before the list.
        count: number of the attributes.
        elsewhere: returns a cursor before the value that a reference leads to.

    Raises:
        ValueError: an attribute is invalid.
    """
    found: dict[bytes, bytes] = {}
    for _ in range(count):
        kind, length = _ENTRY.unpack(cursor.take(_ENTRY.size))
        prefix = _PREFIXES.get(kind & ~_ELSEWHERE)
        if prefix is None or not 0 < length <= _NAME_MAX:
            raise ValueError("an extended attribute is of an unknown kind, or has a name of an impossible length")
        name = prefix + cursor.take(length)
        value = _take_value(cursor)
        if kind & _ELSEWHERE:
            if len(value) != _REFERENCE.size:
                raise ValueError("an extended attribute has a reference of an impossible length")
            value = _take_value(elsewhere(_REFERENCE.unpack(value)[0]))
        if b"\0" in name or name in found:
            raise ValueError("an extended attribute occurs twice, or has a NUL in its name")
        found[name] = value
    return found


def _take_value(cursor: Cursor) -> bytes:
    (size,) = _SIZE.unpack(cursor.take(_SIZE.size))
    if size > _VALUE_MAX:
        raise ValueError(f"an extended attribute has a value longer than {_VALUE_MAX} bytes")
    return cursor.take(size)
