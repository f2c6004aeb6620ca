"""Puts a layout on a disk, and images into its partitions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from uuid import UUID

from tools.core.errors import UserError
from tools.gpt.layout import ALIGNMENT, UNIT, Layout, Partition
from tools.gpt.table import SECTOR_SIZES, Entry, Table


def place(layout: Layout, disk_size: int, disk_guid: UUID, sector_size: int = 512) -> Table:
    """Returns the partition table that a layout gives on a disk.

    A partition without a GUID gets one derived from the disk's and its name (version 5, RFC 9562 section 5.5). A
    partition that takes the rest ends at the last multiple of 1 MiB that is usable.

    Args:
        layout: the partitions.
        disk_size: in bytes.
        disk_guid: the disk's GUID.
        sector_size: 512 or 4096 bytes.

    Raises:
        UserError: a partition ends past the end of the disk, or a size is not one of whole sectors.
    """
    if sector_size not in SECTOR_SIZES:
        raise UserError(f"sector size {sector_size} is not one of {', '.join(map(str, SECTOR_SIZES))}")
    if disk_size <= 0 or disk_size % sector_size:
        raise UserError(f"disk size {disk_size} is not a multiple of the sector size, {sector_size} bytes")
    empty = Table(disk_guid=disk_guid, disk_size=disk_size, entries=(), sector_size=sector_size)
    begin, end = empty.usable
    if begin >= end:
        raise UserError(f"disk size {disk_size} leaves no room for partitions beside the partition table")
    entries = tuple(_entry(partition, empty, end) for partition in layout.partitions)
    guids: dict[UUID, str] = {}
    for entry, partition in zip(entries, layout.partitions, strict=True):
        other = guids.setdefault(entry.uuid, entry.name)
        if other != entry.name:
            raise UserError(f"{partition.origin}: {entry.name} has the GUID {entry.uuid}, which is already {other}'s")
    return Table(disk_guid=disk_guid, disk_size=disk_size, entries=entries, sector_size=sector_size)


def least_disk_size(layout: Layout) -> int:
    """Returns the size in bytes, a multiple of 1 MiB, of the smallest disk that holds a layout's partitions."""
    end = max(partition.least_end for partition in layout.partitions)
    # 1 MiB more than what is aligned has room for the backup table in any sector size.
    return -(-end // ALIGNMENT) * ALIGNMENT + ALIGNMENT


def _entry(partition: Partition, table: Table, usable_end: int) -> Entry:
    size = partition.size
    if size is None:
        size = usable_end // ALIGNMENT * ALIGNMENT - partition.offset
    elif size % table.sector_size:
        raise UserError(
            f"{partition.origin}: size {size // UNIT} of {partition.name} is not a multiple of the disk's sectors of "
            f"{table.sector_size} bytes, which are {table.sector_size // UNIT} of {UNIT}"
        )
    if size <= 0 or partition.offset + size > usable_end:
        raise UserError(
            f"{partition.origin}: {partition.name} ends past the end of the disk: it needs usable bytes up to "
            f"{partition.least_end}, and a disk of {table.disk_size} bytes has them up to {usable_end}"
        )
    return Entry(
        number=partition.number,
        name=partition.name,
        offset=partition.offset,
        size=size,
        type=partition.type,
        uuid=partition.uuid or uuid.uuid5(table.disk_guid, partition.name),
        attributes=partition.attributes,
    )


def check_contents(table: Table, sizes: Iterable[tuple[str, int]], layout: str = "the layout") -> list[Entry]:
    """Returns the entries of partitions, after a check that they have room for what they are to hold.

    Args:
        table: of the disk.
        sizes: names of partitions, and how many bytes each is to hold.
        layout: what to call the layout in messages, such as the path of its file.

    Raises:
        UserError: a partition is unknown or given twice, or is too small.
    """
    entries = {entry.name: entry for entry in table.entries}
    found: dict[str, Entry] = {}
    for name, size in sizes:
        if name not in entries:
            raise UserError(f"partition {name}: is not in {layout}, which has {', '.join(entries)}")
        if name in found:
            raise UserError(f"partition {name}: is given twice")
        found[name] = entries[name]
        if size > found[name].size:
            raise UserError(f"partition {name}: has {found[name].size} bytes in {layout}, and {size} are needed")
    return list(found.values())
