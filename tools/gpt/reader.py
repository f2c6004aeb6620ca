"""Reads a GUID partition table, and checks it: checksums, offsets, and that primary and backup table are equal."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass
from uuid import UUID

from tools.core.errors import UserError
from tools.gpt.table import (
    ENTRY,
    HEADER,
    MBR,
    MBR_PROTECTIVE,
    MBR_SIGNATURE,
    REVISION,
    SECTOR_SIZES,
    SIGNATURE,
    Entry,
    Table,
    decode_entries,
    header_crc,
)
from tools.image.extents import Image

_MAX_ENTRY_BYTES = 1 << 20
"""Maximum size of the entries in bytes; far more than any real table has."""


@dataclass(frozen=True, slots=True)
class _Half:
    """A header and its entries, without the fields that differ between primary and backup table."""

    disk_guid: UUID
    first_usable: int
    last_usable: int
    entry_size: int
    entries: bytes


def read_table(image: Image, origin: str = "disk image") -> Table:
    """Reads the partition table of a disk.

    Args:
        image: the whole disk.
        origin: name of the disk in messages.

    Raises:
        UserError: there is no table, it is damaged, primary and backup table differ, or the disk is truncated.
    """
    try:
        return _read(image)
    except ValueError as error:
        raise UserError(f"{origin}: {error}") from error


def _read(image: Image) -> Table:
    sector = _sector_size(image)
    last_lba = image.size // sector - 1
    if image.size % sector:
        raise ValueError(f"its size, {image.size} bytes, is not a multiple of the sector size, {sector}")
    _check_mbr(image, last_lba)
    primary = _half(image, sector, own_lba=1, other_lba=last_lba, name="primary GPT")
    backup = _half(image, sector, own_lba=last_lba, other_lba=1, name="backup GPT")
    if primary != backup:
        raise ValueError("the primary and the backup GPT differ")
    entries = tuple(decode_entries(primary.entries, primary.entry_size, sector))
    _check_entries(entries, primary, sector)
    return Table(disk_guid=primary.disk_guid, disk_size=image.size, entries=entries, sector_size=sector)


def _sector_size(image: Image) -> int:
    for header_lba in (1, -1):
        for sector in SECTOR_SIZES:
            if image.size >= 2 * sector:
                offset = sector if header_lba == 1 else image.size // sector * sector - sector
                if image.read(offset, len(SIGNATURE)) == SIGNATURE:
                    return sector
    raise ValueError("has no GUID partition table")


def _check_mbr(image: Image, last_lba: int) -> None:
    _, _, _, kind, _, first, sectors, signature = MBR.unpack(image.read(0, MBR.size))
    if signature != MBR_SIGNATURE or kind != MBR_PROTECTIVE or first != 1:
        raise ValueError("has no protective MBR")
    if sectors not in {min(last_lba, 0xFFFFFFFF), 0xFFFFFFFF}:
        raise ValueError(f"the protective MBR covers {sectors} sectors after the first; the disk has {last_lba}")


def _half(image: Image, sector: int, own_lba: int, other_lba: int, name: str) -> _Half:
    raw = image.read(own_lba * sector, sector)
    fields = HEADER.unpack_from(raw)
    signature, revision, size, crc, _, own, other, first, last, guid, entries_lba, count, entry_size, entries_crc = (
        fields
    )
    if signature != SIGNATURE or revision != REVISION or not HEADER.size <= size <= sector:
        raise ValueError(f"the {name} header is missing or not of revision 1.0")
    if header_crc(raw[:size]) != crc:
        raise ValueError(f"the {name} header has a wrong checksum; it is damaged")
    if own != own_lba or other != other_lba:
        raise ValueError(
            f"the {name} is for sectors {own} and {other}, not {own_lba} and {other_lba}: is the disk truncated?"
        )
    length = count * entry_size
    if entry_size < ENTRY.size or entry_size % ENTRY.size or not 0 < length <= _MAX_ENTRY_BYTES:
        raise ValueError(f"the {name} has {count} entries of {entry_size} bytes, which is invalid")
    # Entries are between header and usable sectors: after the primary header, before the backup header.
    begin, end = entries_lba, entries_lba - (-length // sector)
    outside = (begin >= 2 and end <= first) if own_lba == 1 else (last < begin and end <= own_lba)
    if not (outside and first <= last < other_lba + own_lba):
        raise ValueError(f"the {name}'s entries and usable sectors overlap, or are not on the disk")
    entries = image.read(begin * sector, length)
    if zlib.crc32(entries) != entries_crc:
        raise ValueError(f"the {name}'s entries have a wrong checksum; they are damaged")
    return _Half(UUID(bytes_le=guid), first, last, entry_size, entries)


def _check_entries(entries: tuple[Entry, ...], half: _Half, sector: int) -> None:
    begin, end = half.first_usable * sector, (half.last_usable + 1) * sector
    for entry in entries:
        if entry.size <= 0 or entry.offset < begin or entry.offset + entry.size > end:
            raise ValueError(f"partition {entry.number} ({entry.name}) is not within the usable sectors")
    by_offset = sorted(entries, key=lambda entry: entry.offset)
    for left, right in itertools.pairwise(by_offset):
        if left.offset + left.size > right.offset:
            raise ValueError(f"partitions {left.number} ({left.name}) and {right.number} ({right.name}) overlap")
    guids: dict[UUID, int] = {}
    for entry in entries:
        other = guids.setdefault(entry.uuid, entry.number)
        if other != entry.number:
            raise ValueError(f"partitions {other} and {entry.number} have the same GUID, {entry.uuid}")
