"""Converts POSIX access control lists between the xattr of the system call interface and the form that ext4 stores.

Sources: Linux include/uapi/linux/posix_acl_xattr.h (xattr, version 2) and fs/ext4/acl.h (on disk, version 1).
"""

from __future__ import annotations

import struct

_SEEN_VERSION = 2
_STORED_VERSION = 1
_VERSION = struct.Struct("<I")
_SEEN_ENTRY = struct.Struct("<HHI")
_SHORT_ENTRY = struct.Struct("<HH")
_USER, _GROUP = 0x02, 0x08
_TAGS_WITH_ID = (_USER, _GROUP)
_TAGS = (0x01, _USER, 0x04, _GROUP, 0x10, 0x20)
_NO_ID = 0xFFFFFFFF


def to_stored(value: bytes) -> bytes:
    """Converts the value of a `system.posix_acl_*` attribute to the form on disk.

    Raises:
        ValueError: the value is not a valid access control list.
    """
    if len(value) < _VERSION.size or _VERSION.unpack_from(value)[0] != _SEEN_VERSION:
        raise ValueError("access control list is not of version 2")
    if (len(value) - _VERSION.size) % _SEEN_ENTRY.size:
        raise ValueError("access control list ends inside of an entry")
    parts = [_VERSION.pack(_STORED_VERSION)]
    for tag, permissions, number in _SEEN_ENTRY.iter_unpack(value[_VERSION.size :]):
        if tag not in _TAGS:
            raise ValueError(f"access control list has an entry of unknown tag {tag}")
        has_id = tag in _TAGS_WITH_ID
        parts.append((_SEEN_ENTRY.pack(tag, permissions, number)) if has_id else _SHORT_ENTRY.pack(tag, permissions))
    return b"".join(parts)


def from_stored(value: bytes) -> bytes:
    """Converts the form on disk to the value of a `system.posix_acl_*` attribute.

    Raises:
        ValueError: the value is not a valid access control list.
    """
    if len(value) < _VERSION.size or _VERSION.unpack_from(value)[0] != _STORED_VERSION:
        raise ValueError("access control list is not of version 1")
    parts = [_VERSION.pack(_SEEN_VERSION)]
    at = _VERSION.size
    while at < len(value):
        if at + _SHORT_ENTRY.size > len(value):
            raise ValueError("access control list ends inside of an entry")
        tag, permissions = _SHORT_ENTRY.unpack_from(value, at)
        if tag not in _TAGS_WITH_ID:
            parts.append(_SEEN_ENTRY.pack(tag, permissions, _NO_ID))
            at += _SHORT_ENTRY.size
        elif at + _SEEN_ENTRY.size > len(value):
            raise ValueError("access control list ends inside of an entry")
        else:
            parts.append(value[at : at + _SEEN_ENTRY.size])
            at += _SEEN_ENTRY.size
    return b"".join(parts)
