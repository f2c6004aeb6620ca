"""Describes a disk as a VMDK file of the type monolithicSparse: one file, which grows as the disk is written.

Also, as descriptors, disks that are ranges of other files.

The format: "Virtual Disk Format 5.0" of VMware, chapter "Hosted Sparse Extents". The file has, in this order: header,
descriptor, redundant grain directory and its grain tables, grain directory and its grain tables, grains with data.
All grain tables are allocated, because writers such as QEMU don't add any; those without entries are holes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from uuid import UUID

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.virtual_disk.clusters import SECTOR, Stored, entries, stored_clusters

_GRAIN = 64 << 10
_GRAIN_SECTORS = _GRAIN // SECTOR
_PER_TABLE = 512
_TABLE = _PER_TABLE * 4
_TABLE_SECTORS = _TABLE // SECTOR

_HEADER = struct.Struct("<4sIIQQQQIQQQ?4sH")
_MAGIC = b"KDMV"
_VERSION = 1
_VALID_NEWLINES = 1
_REDUNDANT_TABLES = 2
_NEWLINES = b"\n \r\n"
_DESCRIPTOR_SECTOR = 1
_DESCRIPTOR_SECTORS = 20
_MAX_SECTORS = 1 << 32
"""Sectors of the file that an entry of a grain table can have."""

_DESCRIPTOR = """# Disk DescriptorFile
version=1
CID={content_id:08x}
parentCID=ffffffff
createType="monolithicSparse"

# Extent description
RW {sectors} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.adapterType = "lsilogic"
ddb.uuid.image = "{uuid}"
"""
_FLAT = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="twoGbMaxExtentFlat"
"""
_CYLINDER = 255 * 63
_MAX_CYLINDERS = 65535


def vmdk_image(disk: Image, guid: UUID, name: str) -> Image:
    """Returns a VMDK file with a disk; reads no data.

    Args:
        disk: the disk; grains of 64 KiB without extents are not allocated.
        guid: what the identifiers of the file are derived from, such as the disk's GUID.
        name: name of the file, which the descriptor has.

    Raises:
        UserError: the disk is empty, its size is not a multiple of 512 bytes, it has more than about 2 TiB of data, or
            the name is too long or has a quote or a line break.
    """
    stored = stored_clusters(disk, _GRAIN)
    tables = -(-disk.size // (_GRAIN * _PER_TABLE))
    directory_sectors = -(-tables * 4 // SECTOR)
    redundant = _DESCRIPTOR_SECTOR + _DESCRIPTOR_SECTORS  # places, in sectors
    directory = redundant + directory_sectors + tables * _TABLE_SECTORS
    grains = -(-(directory + directory_sectors + tables * _TABLE_SECTORS) // _GRAIN_SECTORS)
    if (grains + stored.count) * _GRAIN_SECTORS > _MAX_SECTORS:
        size = (grains + stored.count) * _GRAIN
        raise UserError(f"the disk and its tables need {size} bytes; a VMDK file has at most 2 TiB")
    header = _HEADER.pack(
        *(_MAGIC, _VERSION, _VALID_NEWLINES | _REDUNDANT_TABLES, disk.size // SECTOR, _GRAIN_SECTORS),
        *(_DESCRIPTOR_SECTOR, _DESCRIPTOR_SECTORS, _PER_TABLE, redundant, directory, grains * _GRAIN_SECTORS),
        *(False, _NEWLINES, 0),
    )
    descriptor = _descriptor(disk, guid, name)
    extents = [
        Extent(0, len(header), Data(header)),
        Extent(_DESCRIPTOR_SECTOR * SECTOR, len(descriptor), Data(descriptor)),
    ]
    for place in (redundant, directory):
        first = place + directory_sectors
        extents.append(entries(place * SECTOR, range(first, first + tables * _TABLE_SECTORS, _TABLE_SECTORS), "<I"))
        extents += _table_entries(stored, first * SECTOR, grains)
    moved = (extent.moved(grains * _GRAIN) for extent in stored.data.extents)
    return Image((grains + stored.count) * _GRAIN, [*extents, *moved])


def flat_vmdk(parts: Iterable[tuple[str, int, int]]) -> bytes:
    """Returns a VMDK file of a disk that is ranges of other files, one after another.

    Args:
        parts: (name, offset, length) triples: a file's name in the directory of the VMDK file, without quotes and line
            breaks; offset and length of the range in bytes, multiples of 512.
    """
    lines = (f'RW {length // SECTOR} FLAT "{name}" {offset // SECTOR}\n' for name, offset, length in parts)
    return (_FLAT + "".join(lines)).encode()


def _table_entries(stored: Stored, tables: int, grains: int) -> list[Extent]:
    """Returns the entries of grain tables that start at byte `tables`; data starts at grain `grains` of the file."""
    return [
        entries(
            tables + run.first * 4,
            range(
                (grains + run.stored) * _GRAIN_SECTORS,
                (grains + run.stored + run.count) * _GRAIN_SECTORS,
                _GRAIN_SECTORS,
            ),
            "<I",
        )
        for run in stored.runs
    ]


def _descriptor(disk: Image, guid: UUID, name: str) -> bytes:
    """Returns the text that describes the disk to readers, without the zeros that follow it."""
    if not name.isprintable() or '"' in name:
        raise UserError(f"the name {name!r} cannot be in the descriptor of a VMDK file; give the output another one")
    digits = guid.hex
    text = _DESCRIPTOR.format(
        content_id=int.from_bytes(guid.bytes[:4], "big") & 0xFFFFFFFE,  # all ones would mean that there is none
        cylinders=min(max(disk.size // SECTOR // _CYLINDER, 1), _MAX_CYLINDERS),
        name=name,
        sectors=disk.size // SECTOR,
        uuid=" ".join(digits[at : at + 2] for at in range(0, 16, 2))
        + "-"
        + " ".join(digits[at : at + 2] for at in range(16, 32, 2)),
    ).encode()
    if len(text) > _DESCRIPTOR_SECTORS * SECTOR:
        raise UserError(f"the name {name[:40]!r}… is too long for a VMDK file")
    return text
