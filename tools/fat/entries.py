"""Packs directory entries of FAT, and converts their times.

See fatgen103, sections "FAT Directory Structure", "Date and Time Formats" and "FAT Long Directory Entries".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from tools.fat.names import UNITS_PER_ENTRY, checksum, needs_long_name

READ_ONLY, HIDDEN, SYSTEM, VOLUME_LABEL, DIRECTORY, ARCHIVE = (1 << bit for bit in range(6))
LONG_NAME = READ_ONLY | HIDDEN | SYSTEM | VOLUME_LABEL
"""The attributes of an entry of a long name (ATTR_LONG_NAME)."""

LAST_LONG_ENTRY = 0x40
"""Flag in the ordinal of the entry with the end of a long name, which is the first one (LAST_LONG_ENTRY)."""

SHORT_ENTRY = struct.Struct("<11s3B7HI")
"""Name, attributes, case flags, hundredths of the creation time, its time and date, date of the last access, high
half of the first cluster, time and date of the last write, low half of the first cluster, size."""

LONG_ENTRY = struct.Struct("<B10sBBB12sH4s")
"""Ordinal, UTF-16 units 1 to 5, attributes, type, checksum, units 6 to 11, first cluster (0), units 12 and 13."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_TIME = datetime(1980, 1, 1, tzinfo=UTC)
_LAST_TIME = datetime(2107, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Times:
    """A time as in FAT.

    Attributes:
        date: packed year since 1980, month and day.
        time: packed hour, minute and number of 2-second intervals.
        hundredths: the remaining hundredths of a second, up to 199; only the creation time has them.
    """

    date: int
    time: int
    hundredths: int


@lru_cache(maxsize=1 << 10)
def encode_time(mtime_ns: int) -> Times:
    """Converts nanoseconds since the epoch to a FAT time in UTC; limits it to the range 1980 to 2107."""
    seconds = min(max(mtime_ns // 10**9, _since_epoch(_FIRST_TIME)), _since_epoch(_LAST_TIME))
    moment = _EPOCH + timedelta(seconds=seconds)
    hundredths = mtime_ns // 10**7 % 100 if seconds == mtime_ns // 10**9 else 0
    return Times(
        (moment.year - 1980) << 9 | moment.month << 5 | moment.day,
        moment.hour << 11 | moment.minute << 5 | moment.second // 2,
        moment.second % 2 * 100 + hundredths,
    )


def decode_time(date: int, time: int) -> int:
    """Converts a FAT date and time in UTC to nanoseconds since the epoch; an invalid one to the start of 1980."""
    try:
        year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
        moment = datetime(year, month, day, time >> 11, time >> 5 & 63, (time & 31) * 2, tzinfo=UTC)
    except ValueError:
        moment = _FIRST_TIME
    return _since_epoch(moment) * 10**9


def _since_epoch(moment: datetime) -> int:
    return round((moment - _EPOCH).total_seconds())


@dataclass(frozen=True, slots=True)
class ShortEntry:
    """A directory entry with a short name.

    Attributes:
        short: short name, 11 bytes.
        attributes: attribute flags (DIR_Attr).
        times: time of creation and last write; its date is that of the last access, too.
        cluster: first cluster, or 0.
        size: size of a file in bytes; 0 for a directory.
    """

    short: bytes
    attributes: int
    times: Times
    cluster: int = 0
    size: int = 0

    def encode(self) -> bytes:
        """Packs the entry into 32 bytes."""
        times, high, low = self.times, self.cluster >> 16, self.cluster & 0xFFFF
        created = (times.hundredths, times.time, times.date)
        written = (times.time, times.date)
        return SHORT_ENTRY.pack(self.short, self.attributes, 0, *created, times.date, high, *written, low, self.size)


def named_entry(name: str, entry: ShortEntry) -> bytes:
    """Packs the entries of a file or directory: those of the long name, if it needs one, and the short entry."""
    if not needs_long_name(name):
        return entry.encode()
    units = name.encode("utf-16-le")
    part_size = 2 * UNITS_PER_ENTRY
    if len(units) % part_size:
        units += b"\0\0"
        units += b"\xff" * (-len(units) % part_size)
    total = checksum(entry.short)
    parts = []
    for ordinal, begin in enumerate(range(0, len(units), part_size), 1):
        part = units[begin : begin + part_size]
        last = LAST_LONG_ENTRY if begin + part_size == len(units) else 0
        parts.append(LONG_ENTRY.pack(ordinal | last, part[:10], LONG_NAME, 0, total, part[10:22], 0, part[22:]))
    return b"".join(reversed(parts)) + entry.encode()
