"""Describes a disk as a qcow2 file, version 3, without compression or encryption.

The format: https://www.qemu.org/docs/master/interop/qcow2.html. The file has, in this order: header, refcount table,
refcount blocks, L1 table, L2 tables, clusters with data. L2 tables without entries and clusters without data are
not stored.
"""

from __future__ import annotations

import struct

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image, Pattern
from tools.virtual_disk.clusters import Stored, entries, stored_clusters

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_PER_TABLE = _CLUSTER // 8
"""Number of entries of an L2 table, and of a cluster of the L1 or refcount table."""

_REFCOUNT_ORDER = 4
_REFCOUNT = struct.pack(">H", 1)
_PER_REFCOUNT_BLOCK = _CLUSTER // len(_REFCOUNT)
_COPIED = 1 << 63
"""Flag of entries of L1 and L2 tables: the reference count of the cluster is exactly 1, so it is written in place."""

_MAX_L1_BYTES = 32 << 20
"""Maximum size of the L1 table that QEMU opens: that of a disk of 2 PiB."""

_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_MAGIC = b"QFI\xfb"
_VERSION = 3


def qcow2_image(disk: Image) -> Image:
    """Returns a qcow2 file with a disk; reads no data.

    Args:
        disk: the disk; clusters of 64 KiB without extents become unallocated clusters.

    Raises:
        UserError: the disk is empty, is larger than 2 PiB, or its size is not a multiple of 512 bytes.
    """
    stored = stored_clusters(disk, _CLUSTER)
    used_tables = sorted({part.first // _PER_TABLE for run in stored.runs for part in run.split(_PER_TABLE)})
    l1_size = -(-disk.size // (_CLUSTER * _PER_TABLE))
    if l1_size * 8 > _MAX_L1_BYTES:
        raise UserError(f"the disk has {disk.size} bytes; QEMU opens qcow2 files of disks of at most 2 PiB")
    l1_clusters = -(-l1_size // _PER_TABLE)
    blocks, table = _refcount_clusters(1 + l1_clusters + len(used_tables) + stored.count)
    l1 = 1 + table + blocks  # places, in clusters
    l2 = l1 + l1_clusters
    data = l2 + len(used_tables)
    total = data + stored.count
    header = _HEADER.pack(
        *(_MAGIC, _VERSION, 0, 0, _CLUSTER_BITS, disk.size, 0),
        *(l1_size, l1 * _CLUSTER, _CLUSTER, table, 0, 0),
        *(0, 0, 0, _REFCOUNT_ORDER, _HEADER.size),
    )
    extents = [
        Extent(0, len(header), Data(header)),
        entries(_CLUSTER, _offsets(1 + table, blocks), ">Q"),
        Extent((1 + table) * _CLUSTER, total * len(_REFCOUNT), Pattern(_REFCOUNT)),
    ]
    for index, number in enumerate(used_tables):
        extents.append(entries(l1 * _CLUSTER + number * 8, _offsets(l2 + index, 1, _COPIED), ">Q"))
    extents += _l2_entries(stored, l2, data, used_tables)
    return Image(total * _CLUSTER, [*extents, *(extent.moved(data * _CLUSTER) for extent in stored.data.extents)])


def _refcount_clusters(others: int) -> tuple[int, int]:
    """Returns the numbers of refcount blocks and of clusters of the refcount table that count all clusters.

    Args:
        others: number of clusters besides these.
    """
    blocks = table = 0
    while True:
        needed = -(-(others + blocks + table) // _PER_REFCOUNT_BLOCK)
        if needed == blocks:
            return blocks, table
        blocks, table = needed, -(-needed // _PER_TABLE)


def _offsets(first: int, count: int, flags: int = 0) -> range:
    """Returns table entries for adjacent clusters of the file."""
    return range(first * _CLUSTER | flags, (first + count) * _CLUSTER | flags, _CLUSTER)


def _l2_entries(stored: Stored, l2: int, data: int, used_tables: list[int]) -> list[Extent]:
    place = {number: (l2 + index) * _CLUSTER for index, number in enumerate(used_tables)}
    return [
        entries(
            place[part.first // _PER_TABLE] + part.first % _PER_TABLE * 8,
            _offsets(data + part.stored, part.count, _COPIED),
            ">Q",
        )
        for run in stored.runs
        for part in run.split(_PER_TABLE)
    ]
