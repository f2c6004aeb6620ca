"""Converts POSIX access control lists between the text form in archives and the extended attributes of Linux.

Sources: IEEE Std 1003.1e draft 17 and acl(5) (text form), star(1) (SCHILY.acl.*), and Linux
include/uapi/linux/posix_acl_xattr.h (attributes).
"""

from __future__ import annotations

import re
import struct

ACCESS = b"system.posix_acl_access"
DEFAULT = b"system.posix_acl_default"

_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
_MASK = 0x10
_OBJECT_TAGS = {b"user": 0x01, b"group": 0x04, b"mask": _MASK, b"other": 0x20}
_NAMED_TAGS = {b"user": 0x02, b"group": 0x08}
_NEEDED_TAGS = {0x01, 0x04, 0x20}
_WORDS = {tag: word for tags in (_OBJECT_TAGS, _NAMED_TAGS) for word, tag in tags.items()}
_SHORT = {b"u": b"user", b"g": b"group", b"m": b"mask", b"o": b"other"}
_BITS = {ord("r"): 4, ord("w"): 2, ord("x"): 1, ord("-"): 0}
_PERMISSIONS = re.compile(rb"[r-][w-][x-]")


class NameWithoutIDError(ValueError):
    """A list names a user or group and has no ID for it, as from GNU tar, even with --numeric-owner."""


def from_text(text: bytes) -> bytes:
    """Converts a list in text form to the value of the extended attribute.

    Args:
        text: entries `tag:qualifier:rwx`, separated by commas or newlines; an optional fourth field is the numeric ID.

    Raises:
        ValueError: the text is not a valid list, or has a user or group name without numeric ID.
    """
    entries = []
    for line in re.split(rb"[,\n]", text):
        entry = line.partition(b"#")[0].strip()
        if entry:
            entries.append(_parse(entry))
    entries.sort()
    single = [tag for tag, _, _ in entries if tag not in _NAMED_TAGS.values()]
    if len(set(single)) != len(single) or not set(single) >= _NEEDED_TAGS:
        raise ValueError("access control list must have one entry each for owner, group and others")
    if len(single) < len(entries) and _MASK not in single:
        raise ValueError("access control list names users or groups, and has no mask")
    return _VERSION + b"".join(_ENTRY.pack(tag, bits, number) for tag, number, bits in entries)


def to_text(value: bytes) -> bytes:
    """Converts the value of the extended attribute to text form, with numeric user and group IDs.

    Raises:
        ValueError: the value is not a valid list.
    """
    if value[: len(_VERSION)] != _VERSION or (len(value) - len(_VERSION)) % _ENTRY.size:
        raise ValueError("access control list is not of version 2, or damaged")
    entries = []
    for tag, bits, number in _ENTRY.iter_unpack(value[len(_VERSION) :]):
        if tag not in _WORDS or bits > 7:
            raise ValueError(f"access control list has an entry with tag {tag} and permissions {bits:o}")
        word = _WORDS[tag]
        qualifier = b"%d" % number if tag in _NAMED_TAGS.values() else b""
        letters = bytes(letter if bits & bit else ord("-") for letter, bit in zip(b"rwx", (4, 2, 1), strict=True))
        entries.append(b":".join((word, qualifier, letters)) + (b":" + qualifier if qualifier else b""))
    return b",".join(entries)


def is_minimal(value: bytes) -> bool:
    """Returns whether a list is equivalent to a mode; Linux doesn't store such an access list."""
    return len(value) == len(_VERSION) + len(_NEEDED_TAGS) * _ENTRY.size


def _parse(entry: bytes) -> tuple[int, int, int]:
    """Returns tag, ID and permission bits of an entry; these tuples sort in the order that Linux demands."""
    tag, _, rest = entry.partition(b":")
    tag = _SHORT.get(tag, tag)
    fields = rest.split(b":")
    if tag in (b"mask", b"other") and len(fields) == 1:
        fields = [b"", *fields]
    if tag not in _OBJECT_TAGS or len(fields) not in (2, 3) or not _PERMISSIONS.fullmatch(fields[1]):
        raise ValueError(f"bad entry of an access control list: {entry.decode(errors='replace')!r}")
    bits = sum(_BITS[letter] for letter in fields[1])
    if not fields[0]:
        return _OBJECT_TAGS[tag], _NO_ID, bits
    number = fields[2] if len(fields) == 3 else fields[0]
    if tag not in _NAMED_TAGS or not number.isdigit() or len(number) > 10 or int(number) >= _NO_ID:
        name = fields[0].decode(errors="replace")
        message = f"access control list has {name!r} without numeric ID; archive with bsdtar --format=pax --acls"
        raise NameWithoutIDError(message)
    return _NAMED_TAGS[tag], int(number), bits
