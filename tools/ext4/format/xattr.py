"""Packs and parses extended attributes ("Extended Attributes" in Linux Documentation/filesystems/ext4).

They are in the inode, after its fields, or in a block of their own (i_file_acl).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tools.ext4.format.acl import from_stored, to_stored
from tools.ext4.format.checksum import crc32c, crc32c_of_int
from tools.ext4.format.inode import EXTRA_SIZE, OLD_SIZE

_MAGIC = 0xEA020000
_BLOCK_HEADER = struct.Struct("<5I12x")
_INODE_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<BBHIII")
_END_SIZE = 4
_CHECKSUM_AT = 16
_WORD = 0xFFFFFFFF
_NAME_MAX = 255
_ROUND = 3

MAX_SHARERS = 1024
"""Maximum number of inodes that share a block of attributes (EXT4_XATTR_REFCOUNT_MAX)."""

_ACL_INDEXES = (2, 3)
_PREFIXES = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
}
"""Maps e_name_index to the prefix of the name; for access control lists it is the whole name."""


class _Attribute(NamedTuple):
    """An attribute as stored; tuples sort in the order that the format demands of blocks."""

    namespace: int
    name_length: int
    name: bytes
    value: bytes

    @property
    def entry_size(self) -> int:
        return _ENTRY.size + _rounded(self.name_length)

    @property
    def size(self) -> int:
        return self.entry_size + _rounded(len(self.value))


class PackedAttributes(NamedTuple):
    """The packed attributes of an inode.

    Attributes:
        tail: the bytes after the inode's fields; may be empty.
        block: the block of attributes, or empty; `finish_block` sets its reference count and checksum.
    """

    tail: bytes
    block: bytes


def pack_attributes(xattrs: Mapping[bytes, bytes], inode_size: int, block_size: int) -> PackedAttributes:
    """Packs attributes in the inode as far as they fit, and the others in a block.

    Args:
        xattrs: values by full name.
        inode_size: in bytes.
        block_size: in bytes.

    Raises:
        ValueError: a name or a value cannot be stored, or they don't fit; the message has the name.
    """
    room = inode_size - OLD_SIZE - EXTRA_SIZE - _INODE_HEADER.size - _END_SIZE
    inside: list[_Attribute] = []
    outside: list[_Attribute] = []
    for attribute in sorted(_attribute(name, value) for name, value in xattrs.items()):
        if attribute.size <= room:
            room -= attribute.size
            inside.append(attribute)
        else:
            outside.append(attribute)
    need = sum(attribute.size for attribute in outside)
    most = block_size - _BLOCK_HEADER.size - _END_SIZE
    if need > most:
        raise ValueError(f"extended attributes need {need} bytes outside of the inode, but a block holds {most}")
    tail = b""
    if inside:
        size = inode_size - OLD_SIZE - EXTRA_SIZE - _INODE_HEADER.size
        tail = _INODE_HEADER.pack(_MAGIC) + _pack_entries(inside, size, 0)
    return PackedAttributes(tail, _pack_block(outside, block_size) if outside else b"")


def _attribute(name: bytes, value: bytes) -> _Attribute:
    shown = name.decode("utf-8", "backslashreplace")
    index, prefix = next(
        ((i, p) for i, p in _PREFIXES.items() if (name == p if i in _ACL_INDEXES else name.startswith(p))), (0, b"")
    )
    suffix = name[len(prefix) :]
    if not index or (not suffix and index not in _ACL_INDEXES) or b"\0" in suffix:
        raise ValueError(f"extended attribute {shown!r} has a name that ext4 cannot store")
    if len(suffix) > _NAME_MAX:
        raise ValueError(f"extended attribute {shown!r} has a name longer than {_NAME_MAX} bytes")
    if index in _ACL_INDEXES:
        try:
            value = to_stored(value)
        except ValueError as error:
            raise ValueError(f"extended attribute {shown!r}: {error}") from None
    return _Attribute(index, len(suffix), suffix, value)


def _rounded(size: int) -> int:
    return (size + _ROUND) & ~_ROUND


def _pack_entries(attributes: list[_Attribute], size: int, header_size: int) -> bytes:
    """Packs entries from the start on, and their values from the end backwards.

    Args:
        attributes: the attributes, which must fit.
        size: size of the result in bytes.
        header_size: number of bytes to add to the values' offsets.
    """
    entries: list[bytes] = []
    values: list[bytes] = []
    at = size
    for attribute in attributes:
        value = attribute.value.ljust(_rounded(len(attribute.value)), b"\0")
        at -= len(value)
        offset = at + header_size if value else 0
        fixed = _ENTRY.pack(
            attribute.name_length, attribute.namespace, offset, 0, len(attribute.value), _entry_hash(attribute)
        )
        entries.append(fixed + attribute.name.ljust(_rounded(attribute.name_length), b"\0"))
        values.append(value)
    return b"".join(entries).ljust(at, b"\0") + b"".join(reversed(values))


def _pack_block(attributes: list[_Attribute], block_size: int) -> bytes:
    entries = _pack_entries(attributes, block_size - _BLOCK_HEADER.size, _BLOCK_HEADER.size)
    return _BLOCK_HEADER.pack(_MAGIC, 0, 1, _block_hash(attributes), 0) + entries


def finish_block(block: bytes, sharers: int, number: int, seed: int | None) -> bytes:
    """Returns a block of attributes with its reference count and checksum set.

    Args:
        block: the block from `pack_attributes`.
        sharers: reference count: the number of inodes with this block, at most `MAX_SHARERS`.
        number: number of the block.
        seed: the file system's checksum seed, or None for no checksum.
    """
    counted = block[:4] + sharers.to_bytes(4, "little") + block[8:]
    if seed is None:
        return counted
    checksum = crc32c(crc32c_of_int(seed, number, 8), counted)
    return counted[:_CHECKSUM_AT] + checksum.to_bytes(4, "little") + counted[_CHECKSUM_AT + 4 :]


def _entry_hash(attribute: _Attribute) -> int:
    """Hashes name and value (ext4_xattr_hash_entry in fs/ext4/xattr.c)."""
    value = 0
    for byte in attribute.name:
        value = ((value << 5) ^ (value >> 27) ^ byte) & _WORD
    padded = attribute.value.ljust(_rounded(len(attribute.value)), b"\0")
    for (word,) in struct.iter_unpack("<I", padded):
        value = ((value << 16) ^ (value >> 16) ^ word) & _WORD
    return value


def _block_hash(attributes: list[_Attribute]) -> int:
    """Hashes the entries' hashes (ext4_xattr_rehash); the kernel doesn't share blocks with the hash 0."""
    value = 0
    for attribute in attributes:
        entry = _entry_hash(attribute)
        if not entry:
            return 0
        value = ((value << 16) ^ (value >> 16) ^ entry) & _WORD
    return value


class DamagedAttributesError(Exception):
    """An extended attribute is invalid; the message describes the fault."""


def parse_tail(tail: bytes) -> dict[bytes, bytes]:
    """Parses the attributes after an inode's fields; returns the values by full name.

    Raises:
        DamagedAttributesError: an attribute is invalid.
    """
    if len(tail) < _INODE_HEADER.size + _END_SIZE or _INODE_HEADER.unpack_from(tail)[0] != _MAGIC:
        return {}
    area = tail[_INODE_HEADER.size :]
    return dict(_parse_entries(area, 0))


def parse_attribute_block(block: bytes, number: int, seed: int | None) -> dict[bytes, bytes]:
    """Parses a block of attributes; returns the values by full name.

    Args:
        block: content of the block.
        number: number of the block.
        seed: the file system's checksum seed, or None without checksums.

    Raises:
        DamagedAttributesError: the block or an attribute is invalid.
    """
    magic, _, blocks, _, checksum = _BLOCK_HEADER.unpack_from(block)
    if magic != _MAGIC or blocks != 1:
        raise DamagedAttributesError("block of extended attributes with an invalid header")
    if seed is not None:
        plain = block[:_CHECKSUM_AT] + b"\0\0\0\0" + block[_CHECKSUM_AT + 4 :]
        if crc32c(crc32c_of_int(seed, number, 8), plain) != checksum:
            raise DamagedAttributesError("block of extended attributes with a wrong checksum")
    return dict(_parse_entries(block, _BLOCK_HEADER.size))


def _parse_entries(area: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the names and values of the entries from `at` on; values' offsets are relative to `area`."""
    while at + _END_SIZE <= len(area) and area[at : at + _END_SIZE] != bytes(_END_SIZE):
        if at + _ENTRY.size > len(area):
            raise DamagedAttributesError("extended attribute exceeds its area")
        length, index, offset, value_inode, size, _ = _ENTRY.unpack_from(area, at)
        name = area[at + _ENTRY.size : at + _ENTRY.size + length]
        if index not in _PREFIXES or len(name) != length or (size and offset + size > len(area)):
            raise DamagedAttributesError("extended attribute of an unknown kind, or with a value outside of its block")
        if value_inode:
            raise DamagedAttributesError(
                "extended attribute with its value in an inode (feature ea_inode), which is not supported"
            )
        value = area[offset : offset + size]
        if index in _ACL_INDEXES:
            try:
                value = from_stored(value)
            except ValueError as error:
                raise DamagedAttributesError(str(error)) from None
        yield _PREFIXES[index] + name, value
        at += _ENTRY.size + _rounded(length)
