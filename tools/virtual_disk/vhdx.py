"""Describes a disk as a dynamic VHDX file.

The format: [MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format". The file has, each at a multiple of 1 MiB: headers and
region tables, an empty log, metadata, block allocation table (BAT), blocks with data.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from uuid import UUID

import google_crc32c

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.virtual_disk.clusters import SECTOR, Stored, entries, stored_clusters

_MIB = 1 << 20
_KIB = 1 << 10
_BLOCK = _MIB
_PER_CHUNK = (SECTOR << 23) // _BLOCK
"""Number of blocks whose sectors a bitmap of 1 MiB covers ([MS-VHDX], section 2.5.1)."""

_MAX_SIZE = 64 << 40
_CREATOR = "rules_icos"

_HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
_HEADER_SIZE = 4 * _KIB
_HEADER_OFFSETS = (64 * _KIB, 128 * _KIB)
_VERSION = 1

_REGION_TABLE = struct.Struct("<4sIII")
_REGION = struct.Struct("<16sQII")
_REGION_TABLE_SIZE = 64 * _KIB
_REGION_TABLE_OFFSETS = (192 * _KIB, 256 * _KIB)
_REQUIRED = 1
_BAT_REGION = UUID("2DC27766-F623-4200-9D64-115E9BFD4A08")
_METADATA_REGION = UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E")

_LOG_OFFSET = _MIB
_METADATA_OFFSET = 2 * _MIB
_BAT_OFFSET = 3 * _MIB

_METADATA_TABLE = struct.Struct("<8sHH20x")
_METADATA_ENTRY = struct.Struct("<16sIIII")
_ITEMS_OFFSET = 64 * _KIB
_IS_VIRTUAL_DISK = 2
_IS_REQUIRED = 4
_FILE_PARAMETERS = UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B")
_VIRTUAL_DISK_SIZE = UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8")
_VIRTUAL_DISK_ID = UUID("BECA12AB-B2E6-4523-93EF-C309E000C746")
_LOGICAL_SECTOR_SIZE = UUID("8141BF1D-A96F-4709-BA47-F233A8FAAB5F")
_PHYSICAL_SECTOR_SIZE = UUID("CDA348C7-445D-4471-9CC9-E9885251C556")
_PHYSICAL_SECTOR = 4096

_FULLY_PRESENT = 6
"""State of a payload block that is in the file. The state of the others is 0, not present, which reads as zeros."""


def vhdx_image(disk: Image, guid: UUID) -> Image:
    """Returns a VHDX file with a disk; reads no data.

    Args:
        disk: the disk; blocks of 1 MiB without extents are not allocated.
        guid: the disk's identifier, which the other identifiers of the file are derived from.

    Raises:
        UserError: the disk is empty, is larger than 64 TiB, or its size is not a multiple of 512 bytes.
    """
    stored = stored_clusters(disk, _BLOCK)
    if disk.size > _MAX_SIZE:
        raise UserError(f"the disk has {disk.size} bytes; a VHDX file has at most 64 TiB")
    count = -(-disk.size // _BLOCK)
    bat_size = -(-(count + (count - 1) // _PER_CHUNK) * 8 // _MIB) * _MIB
    blocks = _BAT_OFFSET + bat_size
    regions = _region_table(bat_size)
    extents = [
        _extent(0, b"vhdxfile" + _CREATOR.encode("utf-16-le")),
        *(_extent(offset, _header(number, guid)) for number, offset in enumerate(_HEADER_OFFSETS, 1)),
        *(_extent(offset, regions) for offset in _REGION_TABLE_OFFSETS),
        *(extent.moved(_METADATA_OFFSET) for extent in _metadata(disk.size, guid)),
        *_bat_entries(stored, blocks),
        *(extent.moved(blocks) for extent in stored.data.extents),
    ]
    return Image(blocks + stored.count * _BLOCK, extents)


def _extent(offset: int, data: bytes) -> Extent:
    return Extent(offset, len(data), Data(data))


def _with_checksum(data: bytes) -> bytes:
    """Returns a structure with its CRC-32C, which is after its signature of 4 bytes."""
    return data[:4] + struct.pack("<I", google_crc32c.value(data)) + data[8:]


def _header(sequence_number: int, guid: UUID) -> bytes:
    file_write, data_write = (uuid.uuid5(guid, name).bytes_le for name in ("vhdx file write", "vhdx data write"))
    header = _HEADER.pack(
        *(b"head", 0, sequence_number, file_write, data_write, bytes(16), 0, _VERSION, _MIB, _LOG_OFFSET)
    )
    return _with_checksum(header.ljust(_HEADER_SIZE, b"\0"))


def _region_table(bat_size: int) -> bytes:
    table = (
        _REGION_TABLE.pack(b"regi", 0, 2, 0)
        + _REGION.pack(_BAT_REGION.bytes_le, _BAT_OFFSET, bat_size, _REQUIRED)
        + _REGION.pack(_METADATA_REGION.bytes_le, _METADATA_OFFSET, _MIB, _REQUIRED)
    )
    return _with_checksum(table.ljust(_REGION_TABLE_SIZE, b"\0"))


def _metadata(size: int, guid: UUID) -> Iterator[Extent]:
    """Yields the extents of the metadata region, at offsets in it."""
    items = [
        (_FILE_PARAMETERS, struct.pack("<II", _BLOCK, 0), _IS_REQUIRED),
        (_VIRTUAL_DISK_SIZE, struct.pack("<Q", size), _IS_REQUIRED | _IS_VIRTUAL_DISK),
        (_VIRTUAL_DISK_ID, guid.bytes_le, _IS_REQUIRED | _IS_VIRTUAL_DISK),
        (_LOGICAL_SECTOR_SIZE, struct.pack("<I", SECTOR), _IS_REQUIRED | _IS_VIRTUAL_DISK),
        (_PHYSICAL_SECTOR_SIZE, struct.pack("<I", _PHYSICAL_SECTOR), _IS_REQUIRED | _IS_VIRTUAL_DISK),
    ]
    table = _METADATA_TABLE.pack(b"metadata", 0, len(items))
    content = b""
    for item, data, flags in items:
        table += _METADATA_ENTRY.pack(item.bytes_le, _ITEMS_OFFSET + len(content), len(data), flags, 0)
        content += data
    yield _extent(0, table)
    yield _extent(_ITEMS_OFFSET, content)


def _bat_entries(stored: Stored, blocks: int) -> Iterator[Extent]:
    """Yields the entries of blocks with data; after those of a chunk there is one for a bitmap, which is unused."""
    for run in stored.runs:
        for part in run.split(_PER_CHUNK):
            index = part.first + part.first // _PER_CHUNK
            first = blocks + part.stored * _BLOCK | _FULLY_PRESENT
            yield entries(_BAT_OFFSET + index * 8, range(first, first + part.count * _BLOCK, _BLOCK), "<Q")
