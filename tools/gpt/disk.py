"""Creates the partition table of a layout, and disk images with images in the partitions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from tools.core.errors import UserError
from tools.gpt.layout import ALIGNMENT, UNIT, Layout, Partition
from tools.gpt.table import SECTOR_SIZES, Entry, Table


def place(layout: Layout, disk_size: int, disk_guid: UUID, sector_size: int = 512) -> Table:
    """Returns the partition table for a layout on a disk.

    The GUID of a partition without one is derived from the disk's GUID and the partition's name (version 5, RFC 9562
    section 5.5). A partition with the rest of the disk ends at the last usable multiple of 1 MiB.

    Args:
        layout: the partitions.
        disk_size: in bytes.
        disk_guid: the disk's GUID.
        sector_size: 512 or 4096 bytes.

    Raises:
        UserError: a partition exceeds the disk, or a size is not a multiple of the sector size.
    """
    if sector_size not in SECTOR_SIZES:
        raise UserError(f"sector size {sector_size} is not one of {', '.join(map(str, SECTOR_SIZES))}")
    if disk_size <= 0 or disk_size % sector_size:
        raise UserError(f"disk size {disk_size} is not a multiple of the sector size, {sector_size} bytes")
    empty = Table(disk_guid=disk_guid, disk_size=disk_size, entries=(), sector_size=sector_size)
    begin, end = empty.usable
    if begin >= end:
        raise UserError(f"disk size {disk_size} has no room for partitions besides the partition table")
    entries = tuple(_entry(partition, empty, end) for partition in layout.partitions)
    guids: dict[UUID, str] = {}
    for entry, partition in zip(entries, layout.partitions, strict=True):
        other = guids.setdefault(entry.uuid, entry.name)
        if other != entry.name:
            raise UserError(f"{partition.origin}: {entry.name} has the GUID {entry.uuid}, which is already {other}'s")
    return Table(disk_guid=disk_guid, disk_size=disk_size, entries=entries, sector_size=sector_size)


def minimum_disk_size(layout: Layout) -> int:
    """Returns the minimum disk size for a layout in bytes, a multiple of 1 MiB."""
    end = max(partition.minimum_end for partition in layout.partitions)
    # One more MiB has room for the backup table with any sector size.
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
            f"{partition.minimum_end}, and a disk of {table.disk_size} bytes has them up to {usable_end}"
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


@dataclass(frozen=True, slots=True)
class Content:
    """What a partition is to hold.

    Attributes:
        name: of the partition.
        size: in bytes.
        note: what messages say of it.
        remedy: what makes it smaller.
    """

    name: str
    size: int
    note: str = ""
    remedy: str = "make its image smaller"


def check_contents(table: Table, contents: Iterable[Content], layout: str = "the layout") -> list[Entry]:
    """Checks that partitions have room for their contents, and returns their entries.

    Args:
        table: the disk's partition table.
        contents: what partitions are to hold.
        layout: name of the layout in messages, such as the path of its file.

    Raises:
        UserError: a partition doesn't exist, occurs twice in `contents`, or is too small.
    """
    entries = {entry.name: entry for entry in table.entries}
    found: dict[str, Entry] = {}
    for content in contents:
        name = content.name
        if name not in entries:
            raise UserError(
                f"partition {name}: is not in {layout}, which has {', '.join(entries)}; correct the name"
                f"{content.note}, or add a row"
            )
        if name in found:
            raise UserError(f"partition {name}: is given twice{content.note}; leave one out")
        found[name] = entries[name]
        if content.size > found[name].size:
            raise UserError(
                f"partition {name}: has {found[name].size} bytes in {layout}, and {content.size} are needed"
                f"{content.note}; enlarge the partition to at least {-(-content.size >> 20)}M, or {content.remedy}"
            )
    return list(found.values())
