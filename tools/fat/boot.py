"""Packs and parses the boot sector of a FAT file system, and the other reserved sectors before the first FAT.

See fatgen103, sections "Boot Sector and BPB" and "FAT32 FSInfo Sector Structure and Backup Boot Sector".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from tools.core.errors import UserError
from tools.fat.geometry import ENTRY_SIZE, MAX_CLUSTERS, SECTOR_SIZES, Bits, Geometry, type_of
from tools.image.extents import Data, Extent, Image

MEDIA = 0xF8
"""BPB_Media of a fixed disk; the low byte of FAT entry 0 has the same value."""

UNKNOWN = 0xFFFFFFFF
"""The value of an unknown number in FSInfo."""

NO_LABEL = b"NO NAME    "

_COMMON = struct.Struct("<3s8sHBHBHHBHHHII")
"""Jump, OEM name, sector size, sectors per cluster, reserved sectors, FATs, root entries, 16-bit sectors, media,
16-bit FAT sectors, sectors per track, heads, hidden sectors, 32-bit sectors."""

_EXTENDED = struct.Struct("<IHHIHH12x")
"""Only in FAT32: FAT sectors, flags, version, first cluster of the root, FSInfo sector, backup boot sector."""

_IDENTITY = struct.Struct("<BBBI11s8s")
"""Drive number, reserved, extended boot signature, volume ID, volume label, name of the FAT type."""

_IDENTITY_SIGNATURE = 0x29
_FS_INFO = struct.Struct("<I480xIII12xI")
_FS_INFO_SIGNATURES = (0x41615252, 0x61417272, 0xAA550000)
_FS_INFO_SECTOR = 1
_BACKUP_SECTOR = 6
_SIGNATURE = b"\x55\xaa"
_SIGNATURE_OFFSET = 510
_OEM_NAME = b"MSWIN4.1"  # recommended by fatgen103 for compatibility
_HALT = b"\xf4\xeb\xfd"  # hlt; jmp to it: halts a machine that boots from this boot sector
_SECTORS_PER_TRACK = 32
_HEADS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSector:
    """The fields of the boot sector.

    Attributes:
        geometry: layout of the file system.
        volume_id: 32 bits.
        label: volume label, 11 bytes.
        root_cluster: first cluster of the root directory in FAT32; 0 in FAT12 and FAT16.
    """

    geometry: Geometry
    volume_id: int
    label: bytes = NO_LABEL
    root_cluster: int = 0


def encode(boot: BootSector, free_clusters: int, next_free: int) -> Image:
    """Packs the reserved sectors.

    Args:
        boot: the fields of the boot sector.
        free_clusters: number of free clusters.
        next_free: number of the first free cluster, or `UNKNOWN`.
    """
    geometry = boot.geometry
    sector = _boot_sector(boot)
    places = [(0, sector)]
    if geometry.bits == 32:
        lead, structure, trail = _FS_INFO_SIGNATURES
        info = _FS_INFO.pack(lead, structure, free_clusters, next_free, trail)
        places += [(_FS_INFO_SECTOR, info), (_BACKUP_SECTOR, sector), (_BACKUP_SECTOR + _FS_INFO_SECTOR, info)]
    size = geometry.sector_size
    return Image(geometry.fat_offset, (Extent(number * size, len(data), Data(data)) for number, data in places))


def _boot_sector(boot: BootSector) -> bytes:
    geometry = boot.geometry
    is_32 = geometry.bits == 32
    head_size = _COMMON.size + (_EXTENDED.size if is_32 else 0) + _IDENTITY.size
    total = geometry.total_sectors
    small_total = total if total < 1 << 16 and not is_32 else 0
    # Tracks are obsolete, but some readers check that their number is whole.
    track = next(track for track in (_SECTORS_PER_TRACK, 16, 8, 4, 2, 1) if total % track == 0)
    head = _COMMON.pack(
        bytes((0xEB, head_size - 2, 0x90)),
        _OEM_NAME,
        geometry.sector_size,
        geometry.cluster_size // geometry.sector_size,
        geometry.reserved_sectors,
        geometry.fat_count,
        geometry.root_entries,
        small_total,
        MEDIA,
        0 if is_32 else geometry.fat_sectors,
        track,
        _HEADS,
        0,
        0 if small_total else total,
    )
    if is_32:
        head += _EXTENDED.pack(geometry.fat_sectors, 0, 0, boot.root_cluster, _FS_INFO_SECTOR, _BACKUP_SECTOR)
    kind = f"FAT{geometry.bits}".encode().ljust(8)
    head += _IDENTITY.pack(0x80, 0, _IDENTITY_SIGNATURE, boot.volume_id, boot.label, kind)
    return (head + _HALT).ljust(_SIGNATURE_OFFSET, b"\0") + _SIGNATURE


def decode(image: Image) -> BootSector:
    """Parses the boot sector of an image.

    Raises:
        UserError: there is none, a field is invalid, or the file system exceeds the image.
    """
    if image.size < SECTOR_SIZES[0] or image.read(_SIGNATURE_OFFSET, 2) != _SIGNATURE:
        raise UserError("has no FAT boot sector")
    sector = image.read(0, SECTOR_SIZES[0])
    (_, _, size, per_cluster, reserved, fats, root_entries, small_total, _, small_fat, _, _, _, large_total) = (
        _COMMON.unpack_from(sector)
    )
    large_fat, _, version, root_cluster, _, _ = _EXTENDED.unpack_from(sector, _COMMON.size)
    is_32 = small_fat == 0
    if size not in SECTOR_SIZES or per_cluster not in (1 << n for n in range(8)) or not reserved or not fats:
        raise UserError("the FAT boot sector is damaged: it has an invalid size")
    geometry = Geometry(
        bits=32,
        sector_size=size,
        cluster_size=per_cluster * size,
        reserved_sectors=reserved,
        fat_sectors=large_fat if is_32 else small_fat,
        fat_count=fats,
        root_entries=root_entries,
        total_sectors=small_total or large_total,
    )
    bits = _checked_type(geometry, image.size, is_32, version)
    identity = _COMMON.size + (_EXTENDED.size if is_32 else 0)
    _, _, signature, volume_id, label, _ = _IDENTITY.unpack_from(sector, identity)
    named = signature == _IDENTITY_SIGNATURE
    return BootSector(
        geometry=replace(geometry, bits=bits),
        volume_id=volume_id if named else 0,
        label=label if named else NO_LABEL,
        root_cluster=root_cluster if is_32 else 0,
    )


def _checked_type(geometry: Geometry, image_size: int, is_32: bool, version: int) -> Bits:
    """Checks the layout of a file system, and returns its FAT type."""
    end = geometry.total_sectors * geometry.sector_size
    if end > image_size:
        raise UserError(f"the FAT file system has {end} bytes, but the image has {image_size}; it is truncated")
    if geometry.data_offset > end or geometry.clusters < 1:
        raise UserError("the FAT boot sector is damaged: there is no room for data")
    bits = 32 if is_32 else type_of(geometry.clusters)
    if bits == 32 and (not is_32 or geometry.root_entries or version or geometry.clusters > MAX_CLUSTERS[32]):
        raise UserError("the FAT boot sector is damaged: it is neither that of FAT16 nor that of FAT32")
    if geometry.root_entries * ENTRY_SIZE % geometry.sector_size:
        raise UserError("the FAT boot sector is damaged: the root directory has no whole number of sectors")
    if (geometry.clusters + 2) * bits > geometry.fat_size * 8:
        raise UserError("the FAT boot sector is damaged: the FAT is too small for the clusters")
    return bits
