"""Parses disk layouts: partitions.csv files, which list the partitions of a disk.

The file has one row for each partition, in the order of their numbers:

    name,start,size,type,uuid,comment
    esp,2048,204800,U,B78084E2-3363-1346-8C25-D426F26B8928,EFI system partition
    data,,rest,L,,"made on first boot, encrypted"

- `start` and `size` are decimal numbers of 512-byte sectors, independently of the disk's sector size; with K, M, G or T
  they are numbers of KiB, MiB, GiB or TiB, such as 32M. A partition must start at a multiple of 1 MiB. An empty `start`
  (or `rest`) is the first such offset after the previous row; an empty `size` (or `rest`) is the rest of the disk, only
  for the last partition on the disk.
- `type` is a shortcut or alias of sfdisk (`U`, `L`, `swap`, …) or a GUID.
- `uuid` is the partition's unique GUID. An empty one is derived from the disk's GUID and the name.
- `comment` is free text and optional.

Lines that start with `#` and empty lines are ignored. A first row with the names of the columns is a header; it is
only required for an optional column `attributes`.
"""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from tools.core.errors import UserError
from tools.gpt.types import parse_attributes, parse_guid, parse_type

UNIT = 512
"""The unit of `start` and `size`, in bytes."""

ALIGNMENT = 1 << 20
"""Alignment of partitions in bytes: 1 MiB, a multiple of all common sectors, erase blocks and RAID stripes."""

NAME_UNITS = 36
"""Maximum length of a partition name in UTF-16 code units (UEFI specification 2.10, section 5.3.3, table 5-6)."""

MAX_PARTITIONS = 128
"""Number of entries of the partition table: the minimum that the UEFI specification demands."""

_COLUMNS = ("name", "start", "size", "type", "uuid", "comment")
_OPTIONAL_COLUMNS = {"comment", "attributes"}
_FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MAX_UNITS = (1 << 63) // UNIT
"""Maximum number of sectors: offsets in bytes have 63 bits in the kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A row of a layout.

    Attributes:
        number: partition number, from 1.
        name: partition name, unique in the layout.
        offset: offset on the disk in bytes.
        size: in bytes; None for the rest of the disk.
        type: partition type GUID.
        uuid: unique partition GUID; None to derive it.
        attributes: attribute bits.
        comment: free text.
        origin: file and line for messages.
    """

    number: int
    name: str
    offset: int
    size: int | None
    type: UUID
    uuid: UUID | None = None
    attributes: int = 0
    comment: str = ""
    origin: str = ""

    @property
    def minimum_end(self) -> int:
        """The end offset in bytes; for a partition with the rest of the disk, the end if it has the minimum size."""
        return self.offset + (ALIGNMENT if self.size is None else self.size)


@dataclass(frozen=True, slots=True)
class Layout:
    """The partitions of a disk.

    Attributes:
        partitions: the partitions, in the order of their numbers; they don't overlap, and names and GUIDs are unique.
        origin: the file, for messages.
    """

    partitions: tuple[Partition, ...]
    origin: str

    def partition(self, name: str) -> Partition:
        """Returns the partition with a name.

        Raises:
            UserError: it doesn't exist.
        """
        for partition in self.partitions:
            if partition.name == name:
                return partition
        names = ", ".join(partition.name for partition in self.partitions)
        raise UserError(f"{self.origin}: has no partition {name!r}; it has {names}")

    def without(self, names: Iterable[str]) -> Layout:
        """Returns the layout without some partitions, such as those that are created at the first boot.

        The others keep their numbers.

        Raises:
            UserError: a partition doesn't exist.
        """
        left_out = {self.partition(name).number for name in names}
        return replace(self, partitions=tuple(p for p in self.partitions if p.number not in left_out))


def read_layout(path: str | os.PathLike[str]) -> Layout:
    """Reads a partitions.csv.

    Raises:
        UserError: the file cannot be read, or a row is invalid; the message has file and line.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{os.fspath(path)}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse_layout(text, os.fspath(path))


def parse_layout(text: str, origin: str) -> Layout:
    """Parses a partitions.csv.

    Args:
        text: content of the file, in the format of the module's docstring.
        origin: name of the file in messages.

    Raises:
        UserError: a row is invalid; the message has file and line.
    """
    columns: Sequence[str] = _COLUMNS
    partitions: list[Partition] = []
    first = True
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{origin}:{number}"
        try:
            cells = _cells(line)
            if first and _is_header(cells):
                columns = _header(cells)
            else:
                partitions.append(_partition(dict(_named(columns, cells)), partitions, place))
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error
        first = False
    if not partitions:
        raise UserError(f"{origin}: has no partitions")
    _check_order(partitions)
    return Layout(tuple(partitions), origin)


def _cells(line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line.strip()], strict=True, skipinitialspace=True))]
    except csv.Error as error:
        raise ValueError(f"not a row of comma-separated values: {error}") from error


def _is_header(cells: list[str]) -> bool:
    """Returns whether a row has names of columns: `name` first, or one that is no value of any other column."""
    words = [cell.lower() for cell in cells]
    return words[0] == "name" or not {"start", "size", "type", "uuid"}.isdisjoint(words[1:5])


def _header(cells: list[str]) -> list[str]:
    columns = [cell.lower() for cell in cells]
    for column in columns:
        if column not in {*_COLUMNS, *_OPTIONAL_COLUMNS} or columns.count(column) > 1:
            import difflib  # noqa: PLC0415 - every command would start later, and only this error needs it

            close = difflib.get_close_matches(column, set(_COLUMNS).difference(columns), 1)
            hint = f"did you mean {close[0]}? The" if close else "the"
            raise ValueError(
                f"unknown or repeated column {column!r}: {hint} columns are {','.join(_COLUMNS)},attributes"
            )
    for column in _COLUMNS:
        if column not in {*columns, *_OPTIONAL_COLUMNS}:
            raise ValueError(f"column {column!r} is missing: the columns are {','.join(_COLUMNS)}")
    return columns


def _named(columns: Sequence[str], cells: list[str]) -> Iterable[tuple[str, str]]:
    needed = len(columns) - 1 if columns[-1] in _OPTIONAL_COLUMNS else len(columns)
    if len(cells) < needed:
        other = next((sign for sign in ";\t" if any(sign in cell for cell in cells)), None)
        hint = f"; separate them by commas, not by {other!r}" if other else ""
        raise ValueError(f"too few columns: {len(cells)}; required are {','.join(columns)}{hint}")
    if len(cells) > len(columns):
        raise ValueError(f"too many columns: {len(cells)} for {','.join(columns)}; quote a cell that has a comma")
    return zip(columns, cells, strict=False)


def _partition(row: dict[str, str], before: list[Partition], origin: str) -> Partition:
    """Returns the partition of a row; raises a `ValueError` if a value is invalid or repeated."""
    if len(before) == MAX_PARTITIONS:
        raise ValueError(f"the table has room for {MAX_PARTITIONS} partitions")
    guid = parse_guid(row["uuid"]) if row["uuid"] else None
    for other in before:
        if other.name == row["name"]:
            raise ValueError(f"name {other.name!r} is also that of {other.origin}; choose another one")
        if guid is not None and other.uuid == guid:
            raise ValueError(f"GUID {row['uuid']} is also that of {other.name} at {other.origin}")
    return Partition(
        number=len(before) + 1,
        name=_checked_name(row["name"]),
        offset=_start(row["start"], before),
        size=_size(row["size"]),
        type=parse_type(row["type"]),
        uuid=guid,
        attributes=parse_attributes(row.get("attributes", "")),
        comment=row.get("comment", ""),
        origin=origin,
    )


def _checked_name(name: str) -> str:
    if not name or not name.isprintable():
        raise ValueError("the name is empty" if not name else f"the name {name!r} has unprintable characters")
    units = len(name.encode("utf-16-le")) // 2
    if units > NAME_UNITS:
        raise ValueError(f"the name {name!r} has {units} UTF-16 units; the maximum is {NAME_UNITS}")
    return name


def _units(text: str, what: str) -> int:
    """Parses a number of sectors, or of KiB, MiB, GiB or TiB with a suffix; returns bytes."""
    digits, factor = (text[:-1], _FACTORS[text[-1]]) if text[-1:] in _FACTORS else (text, UNIT)
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(
            f"{what} {text!r} is not a decimal number of {UNIT}-byte sectors, or one with K, M, G or T, such as 32M"
        )
    if len(digits) > 19 or int(digits) * factor > _MAX_UNITS * UNIT:
        raise ValueError(f"{what} {text} is too large")
    return int(digits) * factor


def _start(text: str, before: list[Partition]) -> int:
    if text in {"", "rest"}:
        if before and before[-1].size is None:
            raise ValueError(f"there is no room after {before[-1].name}, which takes the rest of the disk")
        end = before[-1].minimum_end if before else 1
        return -(-end // ALIGNMENT) * ALIGNMENT
    start = _units(text, "start")
    if start % ALIGNMENT:
        per = ALIGNMENT // UNIT
        below = start // ALIGNMENT * per
        raise ValueError(
            f"start {text} is not a multiple of 1 MiB ({per} sectors); the nearest are {below} and {below + per}"
        )
    if not start:
        raise ValueError("start 0 is that of the partition table; partitions start at 2048 or later")
    return start


def _size(text: str) -> int | None:
    if text in {"", "rest"}:
        return None
    size = _units(text, "size")
    if not size:
        raise ValueError("size 0: a partition has at least one sector; leave it empty for the rest of the disk")
    return size


def _check_order(partitions: list[Partition]) -> None:
    """Raises a `UserError` if partitions overlap, or if a partition with the rest of the disk is not the last one."""
    by_offset = sorted(partitions, key=lambda partition: (partition.offset, partition.number))
    for left, right in itertools.pairwise(by_offset):
        if left.size is None:
            raise UserError(
                f"{left.origin}: {left.name} takes the rest of the disk, but {right.name} ({right.origin}) comes after "
                "it; give it a size"
            )
        if left.offset + left.size > right.offset:
            later, earlier = (right, left) if right.number > left.number else (left, right)
            raise UserError(f"{later.origin}: {_extent(later)} overlaps {_extent(earlier)} of {earlier.origin}")


def _extent(partition: Partition) -> str:
    last = "the end" if partition.size is None else (partition.offset + partition.size) // UNIT - 1
    return f"{partition.name} (sectors {partition.offset // UNIT} to {last})"
