"""Packs the volume descriptors of ISO 9660, which begin at block 16 of a medium.

See ECMA-119, 4th edition, section 8. Numbers of several bytes are stored in one or both byte orders (section 7).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

BLOCK = 2048
"""Size in bytes of a logical sector (6.1.2), and of the logical blocks used here (6.2.2)."""

SYSTEM_AREA_BLOCKS = 16
"""Blocks before the first descriptor, for what is no part of the file system (6.2.1)."""

MAX_BLOCKS = 0xFFFFFFFF
"""Maximum number of blocks of a volume, from the width of numbers of blocks."""

LABEL_SIZE = 32
"""Maximum length of a volume identifier (8.4.6)."""

_IDENTIFIER = b"CD001"
_VERSION = 1
_BOOT, _PRIMARY, _TERMINATOR = 0, 1, 255

_HEAD = struct.Struct("<B5sB")
"""Section 8.1: type, standard identifier, version."""

_NAMES = struct.Struct("<x32s32s8x8s32x4s4s4s8s")
"""Sections 8.4.4 to 8.4.14: system and volume identifier, numbers of blocks, volumes, this volume, size of a block,
size of a path table."""

_TEXTS = struct.Struct("<128s128s128s128s37s37s37s")
"""Sections 8.4.19 to 8.4.25: volume set, publisher, data preparer, application, and the files of copyright, abstract
and bibliography."""

_NO_DATE = b"0" * 16 + b"\0"
"""Section 8.4.26.1: the date and time are not specified. From another one, readers would derive an identifier that all
images have in common."""

_DATES = 4
_FILE_STRUCTURE_VERSION = 1


def both_16(value: int) -> bytes:
    """Packs a number of 16 bits in both byte orders (7.2.3)."""
    return struct.pack("<H", value) + struct.pack(">H", value)


def both_32(value: int) -> bytes:
    """Packs a number of 32 bits in both byte orders (7.3.3)."""
    return struct.pack("<I", value) + struct.pack(">I", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What the primary volume descriptor says.

    Attributes:
        label: volume identifier, at most 32 characters A-Z, 0-9 and _ (7.4.1).
        blocks: size of the volume, in blocks.
        path_table_size: in bytes.
        little_path_table: block of the path table in little-endian byte order.
        big_path_table: block of that in big-endian byte order.
        root: the directory record of the root.
    """

    label: str
    blocks: int
    path_table_size: int
    little_path_table: int
    big_path_table: int
    root: bytes


def primary_descriptor(volume: Volume) -> bytes:
    """Packs a primary volume descriptor (8.4), without dates and with empty texts besides the label."""
    names = _NAMES.pack(
        *(b" " * 32, volume.label.encode().ljust(LABEL_SIZE), both_32(volume.blocks)),
        *(both_16(1), both_16(1), both_16(BLOCK), both_32(volume.path_table_size)),
    )
    # Sections 8.4.15 to 8.4.18: of each byte order, the path table and the optional one, which is not there.
    path_tables = struct.pack("<II", volume.little_path_table, 0) + struct.pack(">II", volume.big_path_table, 0)
    texts = _TEXTS.pack(*(b" " * length for length in (128, 128, 128, 128, 37, 37, 37)))
    dates = _NO_DATE * _DATES
    fields = names + path_tables + volume.root + texts + dates + bytes([_FILE_STRUCTURE_VERSION])
    return _descriptor(_PRIMARY, fields)


def boot_record(system: bytes, content: bytes) -> bytes:
    """Packs a boot record (8.2).

    Args:
        system: boot system identifier, which says what the content is; followed by zeros.
        content: for that system.
    """
    return _descriptor(_BOOT, system.ljust(32, b"\0") + bytes(32) + content)


def terminator() -> bytes:
    """Packs a volume descriptor set terminator (8.3)."""
    return _descriptor(_TERMINATOR, b"")


def _descriptor(kind: int, fields: bytes) -> bytes:
    return (_HEAD.pack(kind, _IDENTIFIER, _VERSION) + fields).ljust(BLOCK, b"\0")
