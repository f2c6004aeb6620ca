"""Packs directories and path tables of ISO 9660.

See ECMA-119, 4th edition, sections 6.8 to 6.10 and 9.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tools.iso.descriptors import BLOCK, both_16, both_32

MAX_EXTENT = (1 << 32) - BLOCK
"""Maximum size in bytes of an extent that another one of the same file follows: whole blocks (6.5.1), whose size is a
number of 32 bits (9.1.4)."""

SELF, PARENT = b"\0", b"\1"
"""Identifiers of a directory itself and of its parent (6.8.2.2); the root is its own parent."""

_RECORD = struct.Struct("<BB8s8s7sBBB4sB")
"""Section 9.1: length of the record and of the extended attributes, block and size of the extent, date, flags, unit
and gap of interleaved files, number of the volume, length of the identifier."""

_DATE = bytes((70, 1, 1, 0, 0, 0, 0))
"""1970-01-01T00:00:00Z (9.1.5), as of files in other images. Readers don't agree on zeros, for "not specified"."""

_DIRECTORY, _MULTI_EXTENT = 0x02, 0x80
_PATH_TABLE_RECORD = "BBIH2s"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the root directory.

    Attributes:
        identifier: its name, of upper case, a dot, and the version (7.5.1), such as `ESP.IMG;1`.
        block: where it begins.
        size: in bytes.
    """

    identifier: str
    block: int
    size: int


def directory_record(block: int, size: int, identifier: bytes) -> bytes:
    """Packs the record of a directory (9.1).

    Args:
        block: where it begins.
        size: in bytes.
        identifier: SELF, PARENT, or the name; SELF in the volume descriptor (8.4.18).
    """
    return _record(block, size, _DIRECTORY, identifier)


def _record(block: int, size: int, flags: int, identifier: bytes) -> bytes:
    length = (_RECORD.size + len(identifier) + 1) // 2 * 2
    fields = (both_32(block), both_32(size), _DATE, flags, 0, 0, both_16(1), len(identifier))
    return (_RECORD.pack(length, 0, *fields) + identifier).ljust(length, b"\0")


def root_directory(block: int, files: Sequence[File]) -> bytes:
    """Packs a root directory with files; whole blocks.

    A file of 4 GiB or more has several records, of extents that follow one another (interchange level 3, section 10.3).

    Args:
        block: where the directory begins.
        files: the files, with distinct identifiers.
    """
    records = [record for file in sorted(files, key=_order) for record in _file_records(file)]
    own = [directory_record(block, 0, identifier) for identifier in (SELF, PARENT)]
    size = len(_in_blocks([*own, *records]))
    own = [directory_record(block, size, identifier) for identifier in (SELF, PARENT)]
    return _in_blocks([*own, *records])


def _order(file: File) -> tuple[str, str]:
    """Returns the key by which records are in order: the name, then its extension (9.3)."""
    name, _, extension = file.identifier.partition(".")
    return name, extension


def _file_records(file: File) -> Iterator[bytes]:
    done = 0
    while True:
        size = min(file.size - done, MAX_EXTENT)
        last = done + size == file.size
        yield _record(file.block + done // BLOCK, size, 0 if last else _MULTI_EXTENT, file.identifier.encode())
        if last:
            return
        done += size


def _in_blocks(records: Iterable[bytes]) -> bytes:
    """Returns records one after another, none across the border of two blocks (6.8.1.1)."""
    result = bytearray()
    for record in records:
        room = -len(result) % BLOCK
        if len(record) > room:
            result += bytes(room)
        result += record
    return bytes(result) + bytes(-len(result) % BLOCK)


def path_table(root: int, byte_order: str) -> bytes:
    """Packs a path table with the root directory alone (6.9, 9.4).

    Args:
        root: block of the root directory.
        byte_order: `<` for the table of type L, `>` for that of type M.
    """
    return struct.pack(byte_order + _PATH_TABLE_RECORD, len(SELF), 0, root, 1, SELF)
