"""Describes a disk as a qcow2 file, version 3, without compression or encryption.

The format: https://www.qemu.org/docs/master/interop/qcow2.html. The file has, in this order: header, refcount table,
refcount blocks, L1 table, L2 tables, clusters with data. L2 tables without entries and clusters without data are
not stored.
"""

from __future__ import annotations

import struct

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image, Pattern
from tools.virtual_disk.clusters import entries, stored_clusters

_CLUSTER = 64 << 10
_ENTRY = 8
"""Size of an entry of an L1, L2 or refcount table, in bytes."""

_REFCOUNT_ORDER = 4
_REFCOUNT = struct.pack(">H", 1)
_COPIED = 1 << 63
"""Flag of entries of L1 and L2 tables: the reference count of the cluster is exactly 1, so it is written in place."""

_MAX_L1_BYTES = 32 << 20
"""Maximum size of the L1 table that QEMU opens: that of a disk of 2 PiB, or of 8 TiB with clusters of 4 KiB."""

_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_MAGIC = b"QFI\xfb"
_VERSION = 3


def qcow2_image(disk: Image, cluster: int = _CLUSTER) -> Image:
    """Returns a qcow2 file with a disk; reads no data.

    Args:
        disk: the disk; clusters without extents become unallocated clusters.
        cluster: size of a cluster in bytes, a power of two from 512 to 2 MiB.

    Raises:
        UserError: the disk is empty, its size is not a multiple of 512 bytes, or it is too large: with clusters of
            64 KiB, larger than 2 PiB; with those of 4 KiB, than 8 TiB.
    """
    stored = stored_clusters(disk, cluster)
    per_table = cluster // _ENTRY
    used_tables = sorted({part.first // per_table for run in stored.runs for part in run.split(per_table)})
    most = _MAX_L1_BYTES // _ENTRY * per_table * cluster
    if disk.size > most:
        raise UserError(f"the disk has {disk.size} bytes; QEMU opens such qcow2 files of disks of at most {most} bytes")
    l1_size = -(-disk.size // (cluster * per_table))
    l1_clusters = -(-l1_size // per_table)
    blocks, table = _refcount_clusters(1 + l1_clusters + len(used_tables) + stored.count, cluster)
    l1 = 1 + table + blocks  # places, in clusters
    l2 = l1 + l1_clusters
    data = l2 + len(used_tables)
    total = data + stored.count
    header = _HEADER.pack(
        *(_MAGIC, _VERSION, 0, 0, cluster.bit_length() - 1, disk.size, 0),
        *(l1_size, l1 * cluster, cluster, table, 0, 0),
        *(0, 0, 0, _REFCOUNT_ORDER, _HEADER.size),
    )
    extents = [
        Extent(0, len(header), Data(header)),
        entries(cluster, _offsets(1 + table, blocks, cluster), ">Q"),
        Extent((1 + table) * cluster, total * len(_REFCOUNT), Pattern(_REFCOUNT)),
    ]
    place = {number: l2 + index for index, number in enumerate(used_tables)}
    for number, at in place.items():
        extents.append(entries(l1 * cluster + number * _ENTRY, _offsets(at, 1, cluster, _COPIED), ">Q"))
    for run in stored.runs:
        for part in run.split(per_table):
            at = place[part.first // per_table] * cluster + part.first % per_table * _ENTRY
            extents.append(entries(at, _offsets(data + part.stored, part.count, cluster, _COPIED), ">Q"))
    return Image(total * cluster, [*extents, *(extent.moved(data * cluster) for extent in stored.data.extents)])


def _refcount_clusters(others: int, cluster: int) -> tuple[int, int]:
    """Returns the numbers of refcount blocks and of clusters of the refcount table that count all clusters.

    Args:
        others: number of clusters besides these.
        cluster: size of a cluster in bytes.
    """
    blocks = table = 0
    while True:
        needed = -(-(others + blocks + table) * len(_REFCOUNT) // cluster)
        if needed == blocks:
            return blocks, table
        blocks, table = needed, -(-needed * _ENTRY // cluster)


def _offsets(first: int, count: int, cluster: int, flags: int = 0) -> range:
    """Returns table entries for adjacent clusters of the file."""
    return range(first * cluster | flags, (first + count) * cluster | flags, cluster)
