"""Packs and parses extended attributes ("On-disk details" in Linux Documentation/filesystems/erofs.rst).

They follow their inode: a header with the numbers of shared attributes, then attributes of this inode alone. A shared
attribute is stored once for all inodes that have it; its number counts words of 4 bytes from a block on.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping

_HEADER = struct.Struct("<IB7x")
_ENTRY = struct.Struct("<BBH")
_ID = struct.Struct("<I")
_WORD = 4
_NAME_MAX = 255
_VALUE_MAX = 0xFFFF
_MOST_COUNT = 0xFFFF
_MOST_SHARED = 128
"""The number of shared attributes of an inode (EROFS_MAX_SHARED_XATTRS of erofs-utils)."""

_PREFIXES = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
}
"""Maps e_name_index to the prefix of the name; for access control lists it is the whole name."""

_WHOLE_NAMES = (2, 3)
_LONG_PREFIX = 0x80

Attribute = tuple[bytes, bytes]
"""Full name and value."""


def pack_attribute(name: bytes, value: bytes) -> bytes:
    """Returns the entry of an attribute.

    Raises:
        ValueError: the name or the value cannot be stored.
    """
    shown = name.decode("utf-8", "backslashreplace")
    index, prefix = next(
        ((i, p) for i, p in _PREFIXES.items() if (name == p if i in _WHOLE_NAMES else name.startswith(p))), (0, b"")
    )
    suffix = name[len(prefix) :]
    if not index or (not suffix and index not in _WHOLE_NAMES) or b"\0" in suffix:
        raise ValueError(f"extended attribute {shown!r} has a name that EROFS cannot store")
    if len(suffix) > _NAME_MAX:
        raise ValueError(f"extended attribute {shown!r} has a name longer than {_NAME_MAX} bytes")
    if len(value) > _VALUE_MAX:
        raise ValueError(f"extended attribute {shown!r} has a value longer than {_VALUE_MAX} bytes")
    return _padded(_ENTRY.pack(len(suffix), index, len(value)) + suffix + value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _WORD)


class SharedAttributes:
    """The attributes that are stored once.

    Attributes:
        area: their entries, which are stored at `first` and after it.
    """

    def __init__(self, counts: Mapping[Attribute, int], first: int) -> None:
        """Chooses the attributes that take less space once, with a number in each inode, than in each inode.

        Args:
            counts: number of inodes with each attribute.
            first: offset of the area in bytes from the block that numbers count from.
        """
        self._ids: dict[Attribute, int] = {}
        parts: list[bytes] = []
        at = first
        for (name, value), count in counts.items():
            entry = pack_attribute(name, value)
            if count * (len(entry) - _WORD) > len(entry):
                self._ids[name, value] = at // _WORD
                parts.append(entry)
                at += len(entry)
        self.area = b"".join(parts)

    def pack(self, xattrs: Mapping[bytes, bytes]) -> bytes:
        """Returns what follows an inode with these attributes; nothing if there are none.

        Raises:
            ValueError: they don't fit.
        """
        if not xattrs:
            return b""
        ids: list[bytes] = []
        own: list[bytes] = []
        for attribute in sorted(xattrs.items()):
            number = self._ids.get(attribute)
            if number is not None and len(ids) < _MOST_SHARED:
                ids.append(_ID.pack(number))
            else:
                own.append(pack_attribute(*attribute))
        packed = _HEADER.pack(0, len(ids)) + b"".join(ids) + b"".join(own)
        if count_of(packed) > _MOST_COUNT:
            most = _HEADER.size + (_MOST_COUNT - 1) * _WORD
            raise ValueError(f"extended attributes need {len(packed)} bytes, but an inode can have {most}")
        return packed


def count_attributes(sets: Iterable[Mapping[bytes, bytes]]) -> dict[Attribute, int]:
    """Returns how many of the inodes with these sets of attributes have each attribute, sorted by names and values."""
    counts = Counter(attribute for each in sets for attribute in each.items())
    return dict(sorted(counts.items()))


def count_of(packed: bytes) -> int:
    """Returns i_xattr_icount for packed attributes."""
    return 1 + (len(packed) - _HEADER.size) // _WORD if packed else 0


def packed_size(count: int) -> int:
    """Returns the size in bytes of the attributes of an inode with this i_xattr_icount."""
    return _HEADER.size + (count - 1) * _WORD if count else 0


def parse_entry(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Returns name and value of the entry at an offset, and the offset of the next one.

    Raises:
        ValueError: the entry is invalid.
    """
    if at + _ENTRY.size > len(data):
        raise ValueError("an extended attribute runs over the end of its area")
    length, index, size = _ENTRY.unpack_from(data, at)
    if index & _LONG_PREFIX:
        raise ValueError("an extended attribute has a long prefix, which is not supported")
    end = at + _ENTRY.size + length + size
    if index not in _PREFIXES or end > len(data):
        raise ValueError("an extended attribute is of an unknown kind, or runs over the end of its area")
    name = data[at + _ENTRY.size : end - size]
    return _PREFIXES[index] + name, data[end - size : end], at + -(-(end - at) // _WORD) * _WORD


def entry_size(head: bytes) -> int:
    """Returns the size in bytes of an entry, from its first 4 bytes."""
    length, _, size = _ENTRY.unpack(head)
    return _ENTRY.size + int(length) + int(size)


def parse_attributes(packed: bytes) -> tuple[list[int], dict[bytes, bytes]]:
    """Returns the numbers of shared attributes, and the other attributes, of an inode.

    Raises:
        ValueError: an attribute is invalid.
    """
    _, shared = _HEADER.unpack_from(packed)
    at = _HEADER.size + shared * _WORD
    if at > len(packed):
        raise ValueError("there are more shared attributes than there is room for")
    ids = [number for (number,) in _ID.iter_unpack(packed[_HEADER.size : at])]
    own: dict[bytes, bytes] = {}
    while at < len(packed):
        name, value, at = parse_entry(packed, at)
        own[name] = value
    return ids, own
