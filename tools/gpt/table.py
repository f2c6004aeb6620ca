"""Packs and parses the GUID partition table: protective MBR, and header and entries at both ends of the disk.

See UEFI specification 2.10, chapter 5 ("GUID Partition Table (GPT) Disk Layout"). All fields are little-endian; GUIDs
are in mixed-endian byte order (appendix A), as in `UUID.bytes_le`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from tools.image.extents import Data, Extent, Image

SECTOR_SIZES = (512, 4096)

SIGNATURE = b"EFI PART"
REVISION = 0x00010000
ENTRY_COUNT = 128
"""Number of entries of a table; 16 KiB, the minimum that the specification demands."""

HEADER = struct.Struct("<8s4I4Q16sQ3I")
"""Table 5-5: signature, revision, header size, header CRC, reserved, own LBA, other LBA, first and last usable LBA,
disk GUID, LBA of the entries, number of entries, size of an entry, CRC of the entries."""

ENTRY = struct.Struct("<16s16s3Q72s")
"""Table 5-6: type GUID, unique GUID, first and last LBA, attributes, name."""

MBR = struct.Struct("<446sB3sB3sII48x2s")
"""Table 5-1 with one partition record: code, its boot indicator, starting CHS, type, ending CHS, first LBA, number of
sectors; signature."""

MBR_SIGNATURE = b"\x55\xaa"
MBR_PROTECTIVE = 0xEE

_CRC_OFFSET = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A partition entry.

    Attributes:
        number: partition number, from 1.
        name: partition name, at most 36 UTF-16 units.
        offset: in bytes, a multiple of the sector size.
        size: in bytes, a multiple of the sector size.
        type: partition type GUID.
        uuid: unique partition GUID.
        attributes: attribute bits.
    """

    number: int
    name: str
    offset: int
    size: int
    type: UUID
    uuid: UUID
    attributes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A disk's partition table.

    Attributes:
        disk_guid: the disk's GUID.
        disk_size: in bytes, a multiple of the sector size.
        entries: the entries in use, in the order of their numbers.
        sector_size: 512 or 4096 bytes.
    """

    disk_guid: UUID
    disk_size: int
    entries: tuple[Entry, ...]
    sector_size: int = 512

    @property
    def usable(self) -> tuple[int, int]:
        """The range [begin, end) in bytes for partitions, between primary and backup table."""
        table = self.sector_size + ENTRY_COUNT * ENTRY.size
        return self.sector_size + table, self.disk_size - table


def encode(table: Table) -> Image:
    """Packs a partition table; returns an image of the whole disk with only the primary and the backup table.

    The partitions must be within `table.usable`.
    """
    sector = table.sector_size
    last_lba = table.disk_size // sector - 1
    entries = bytearray(ENTRY_COUNT * ENTRY.size)
    used = 0
    for entry in table.entries:
        _pack_entry(entry, sector, entries)
        used = max(used, entry.number * ENTRY.size)
    crc = zlib.crc32(entries)
    begin, end = table.usable
    first_entries, last_entries = 2, end // sector

    def header(own_lba: int, other_lba: int, entries_lba: int) -> bytes:
        guid, usable = table.disk_guid.bytes_le, (begin // sector, end // sector - 1)
        fields = (own_lba, other_lba, *usable, guid, entries_lba, ENTRY_COUNT, ENTRY.size, crc)
        return _with_crc(HEADER.pack(SIGNATURE, REVISION, HEADER.size, 0, 0, *fields))

    parts = [
        (0, _protective_mbr(last_lba)),
        (1, header(1, last_lba, first_entries)),
        (first_entries, bytes(entries[:used])),
        (last_entries, bytes(entries[:used])),
        (last_lba, header(last_lba, 1, last_entries)),
    ]
    return Image(table.disk_size, (Extent(lba * sector, len(data), Data(data)) for lba, data in parts))


def _pack_entry(entry: Entry, sector: int, entries: bytearray) -> None:
    name = entry.name.encode("utf-16-le")
    first, last = entry.offset // sector, (entry.offset + entry.size) // sector - 1
    guids = (entry.type.bytes_le, entry.uuid.bytes_le)
    ENTRY.pack_into(entries, (entry.number - 1) * ENTRY.size, *guids, first, last, entry.attributes, name)


def _with_crc(header: bytes) -> bytes:
    """Returns a header with its checksum set, which is computed with 0 as checksum."""
    return header[:_CRC_OFFSET] + struct.pack("<I", zlib.crc32(header)) + header[_CRC_OFFSET + 4 :]


def header_crc(header: bytes) -> int:
    """Returns the correct checksum of a packed header."""
    return zlib.crc32(header[:_CRC_OFFSET] + bytes(4) + header[_CRC_OFFSET + 4 :])


def _protective_mbr(last_lba: int) -> bytes:
    """Packs a protective MBR, with one partition that covers the whole disk (section 5.2.3, table 5-4)."""
    # The ending CHS address is the value for an address that cannot be represented.
    start, end = bytes((0x00, 0x02, 0x00)), bytes((0xFF, 0xFF, 0xFF))
    sectors = min(last_lba, 0xFFFFFFFF)
    return MBR.pack(bytes(446), 0, start, MBR_PROTECTIVE, end, 1, sectors, MBR_SIGNATURE)


def decode_entries(data: bytes, entry_size: int, sector: int) -> Iterator[Entry]:
    """Parses an array of entries; yields those in use, unchecked."""
    for index in range(len(data) // entry_size):
        type_guid, guid, first, last, attributes, name = ENTRY.unpack_from(data, index * entry_size)
        if any(type_guid):
            yield Entry(
                number=index + 1,
                name=name.decode("utf-16-le", "replace").split("\0")[0],
                offset=first * sector,
                size=(last + 1 - first) * sector,
                type=UUID(bytes_le=type_guid),
                uuid=UUID(bytes_le=guid),
                attributes=attributes,
            )
