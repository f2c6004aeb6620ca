"""The layout of a FAT file system, and how it is chosen from its size.

See Microsoft Extensible Firmware Initiative FAT32 File System Specification 1.03 ("fatgen103"), sections "Boot Sector
and BPB" and "FAT Type Determination".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tools.core.errors import UserError

Bits = Literal[12, 16, 32]
"""The FAT type: the number of bits of a FAT entry."""

TYPES: tuple[Bits, ...] = get_args(Bits)
SECTOR_SIZES = (512, 1024, 2048, 4096)
ENTRY_SIZE = 32
"""Size of a directory entry in bytes."""

FAT_COUNT = 2
FIRST_CLUSTER = 2
MAX_CLUSTERS: dict[Bits, int] = {12: 4084, 16: 65524, 32: 0x0FFFFFF4}
"""Maximum number of clusters of each FAT type; the number of clusters determines the type."""

MAX_SECTORS = (1 << 32) - 1

_MARGIN = 16
"""Distance in clusters to keep from the limits between types, since some readers are inexact (fatgen103)."""

_CLUSTER_SIZES = tuple(512 << n for n in range(7))
_MAX_RESERVED = (1 << 16) - 1
_MAX_ROOT_ENTRIES = (1 << 16) - 1
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The layout of a file system.

    Attributes:
        bits: FAT type.
        sector_size: in bytes.
        cluster_size: in bytes.
        reserved_sectors: number of sectors before the first FAT, including the boot sector.
        fat_sectors: number of sectors of one FAT.
        fat_count: number of FATs.
        root_entries: maximum number of entries of the root directory; 0 in FAT32, where it is a cluster chain.
        total_sectors: number of sectors of the file system.
    """

    bits: Bits
    sector_size: int
    cluster_size: int
    reserved_sectors: int
    fat_sectors: int
    fat_count: int = FAT_COUNT
    root_entries: int
    total_sectors: int

    @property
    def fat_size(self) -> int:
        """The size of one FAT in bytes."""
        return self.fat_sectors * self.sector_size

    @property
    def fat_offset(self) -> int:
        """The offset of the first FAT in bytes; the others follow it."""
        return self.reserved_sectors * self.sector_size

    @property
    def root_offset(self) -> int:
        """The offset of the root directory of FAT12 and FAT16 in bytes."""
        return self.fat_offset + self.fat_count * self.fat_size

    @property
    def data_offset(self) -> int:
        """The offset of the first cluster in bytes."""
        return self.root_offset + _round_up(self.root_entries * ENTRY_SIZE, self.sector_size)

    @property
    def clusters(self) -> int:
        """The number of clusters."""
        return (self.total_sectors * self.sector_size - self.data_offset) // self.cluster_size

    def cluster_offset(self, cluster: int) -> int:
        """Returns the offset of a cluster in bytes."""
        return self.data_offset + (cluster - FIRST_CLUSTER) * self.cluster_size


def choose(
    size: int,
    *,
    bits: Bits | None = None,
    cluster_size: int | None = None,
    sector_size: int = 512,
    root_entries: int = 0,
) -> Geometry:
    """Chooses the layout of a file system.

    By default the type is FAT12 below 8 MiB, FAT16 below 512 MiB and FAT32 from there on, or another type that the
    cluster size allows. The default cluster size is 512 bytes for FAT12, 2 KiB for FAT16, 4 KiB for FAT32 up to 8 GiB
    and up to 32 KiB above, or the next larger or else smaller one with a valid number of clusters. Additional reserved
    sectors align clusters to their size.

    Args:
        size: size of the file system in bytes, a multiple of the sector size.
        bits: FAT type.
        cluster_size: in bytes: a power of two from the sector size to 32 KiB.
        sector_size: in bytes.
        root_entries: minimum number of entries of the root directory in FAT12 and FAT16.

    Raises:
        UserError: no layout is possible with these parameters.
    """
    if sector_size not in SECTOR_SIZES:
        raise UserError(f"sector size {sector_size} is not one of {', '.join(map(str, SECTOR_SIZES))} bytes")
    if cluster_size is not None and (cluster_size not in _CLUSTER_SIZES or cluster_size < sector_size):
        possible = ", ".join(str(known) for known in _CLUSTER_SIZES if known >= sector_size)
        raise UserError(f"cluster size {cluster_size} is not one of {possible} bytes")
    if size <= 0 or size % sector_size:
        raise UserError(f"size {size} is not a multiple of the sector size, {sector_size} bytes")
    if size // sector_size > MAX_SECTORS:
        larger = "; use larger sectors" if sector_size < SECTOR_SIZES[-1] else ""
        raise UserError(f"size {size} is more than FAT can have: {MAX_SECTORS} sectors of {sector_size} bytes{larger}")
    for candidate in (bits,) if bits else _types(size):
        for clusters_of in (cluster_size,) if cluster_size else _cluster_sizes(candidate, size, sector_size):
            geometry = _geometry(size, candidate, clusters_of, sector_size, root_entries)
            if geometry is not None:
                return geometry
    few, many = _range(bits) if bits else (1, MAX_CLUSTERS[32] - _MARGIN)
    clusters = f"{cluster_size} bytes" if cluster_size else f"{sector_size} to {_CLUSTER_SIZES[-1]} bytes"
    raise UserError(
        f"size {size} cannot be FAT{bits or ''}, which has {few} to {many} clusters, of {clusters} here; change the "
        "size, the FAT type or the cluster size"
    )


def _types(size: int) -> list[Bits]:
    preferred: Bits = 12 if size < 8 * _MIB else 16 if size < 512 * _MIB else 32
    return [preferred, *(bits for bits in TYPES if bits != preferred)]


def _cluster_sizes(bits: Bits, size: int, sector_size: int) -> list[int]:
    """Returns the cluster sizes to try, in order of preference."""
    if bits == 32:
        preferred = 4 * _KIB if size <= 8 * _GIB else 8 * _KIB if size <= 16 * _GIB else 16 * _KIB
        preferred = preferred if size <= 32 * _GIB else 32 * _KIB
    else:
        preferred = 512 if bits == 12 else 2 * _KIB
    larger = [known for known in _CLUSTER_SIZES if known >= max(preferred, sector_size)]
    smaller = [known for known in reversed(_CLUSTER_SIZES) if sector_size <= known < preferred]
    return larger + smaller


def _range(bits: Bits) -> tuple[int, int]:
    """Returns the minimum and maximum number of clusters that the writer uses for a type."""
    below = {12: 0, 16: MAX_CLUSTERS[12] + _MARGIN, 32: MAX_CLUSTERS[16] + _MARGIN}[bits]
    return below + 1, MAX_CLUSTERS[bits] - _MARGIN


def _geometry(size: int, bits: Bits, cluster_size: int, sector_size: int, root_entries: int) -> Geometry | None:
    """Returns the layout for these parameters, or None if it is not possible."""
    total = size // sector_size
    reserved = 32 if bits == 32 else 1
    if bits == 32:
        root_entries = 0
    else:
        usual = 512 if size >= _MIB else 128
        root_entries = _round_up(max(root_entries, usual), sector_size // ENTRY_SIZE)
        if root_entries > _MAX_ROOT_ENTRIES:
            return None

    def with_fat(fat_sectors: int) -> Geometry:
        start = reserved * sector_size + FAT_COUNT * fat_sectors * sector_size + root_entries * ENTRY_SIZE
        padding = -start % cluster_size // sector_size
        return Geometry(
            bits=bits,
            sector_size=sector_size,
            cluster_size=cluster_size,
            reserved_sectors=reserved + padding,
            fat_sectors=fat_sectors,
            root_entries=root_entries,
            total_sectors=total,
        )

    def needed(clusters: int) -> int:
        return -(-(clusters + FIRST_CLUSTER) * bits // (8 * sector_size))

    # Start with a FAT that is too large, and shrink it while it has an entry for each cluster.
    geometry = with_fat(needed(size // cluster_size))
    while (fewer := needed(geometry.clusters)) < geometry.fat_sectors:
        smaller = with_fat(fewer)
        if needed(smaller.clusters) > fewer:
            break
        geometry = smaller
    few, many = _range(bits)
    return geometry if few <= geometry.clusters <= many and geometry.reserved_sectors <= _MAX_RESERVED else None


def type_of(clusters: int) -> Bits:
    """Returns the type of a file system with `clusters` clusters."""
    return next((bits for bits in TYPES if clusters <= MAX_CLUSTERS[bits]), 32)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
