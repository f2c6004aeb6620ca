"""Maps the clusters of a disk, the units that a virtual disk allocates, to the clusters that are stored.

The formats call the unit a cluster (qcow2), a grain (VMDK) or a block (VHDX).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.image.holes import data_ranges, packed

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent clusters of a disk that are stored one after another.

    Attributes:
        first: index of the first cluster on the disk.
        count: number of clusters.
        stored: index of the first cluster among those that are stored.
    """

    first: int
    count: int
    stored: int

    def split(self, unit: int) -> Iterator[Run]:
        """Yields the run in parts that don't cross multiples of `unit` clusters of the disk."""
        done = 0
        while done < self.count:
            first = self.first + done
            count = min(self.count - done, unit - first % unit)
            yield Run(first, count, self.stored + done)
            done += count


@dataclass(frozen=True, slots=True)
class Stored:
    """What a virtual disk stores of a disk.

    Attributes:
        runs: the clusters with data, in ascending order.
        data: these clusters one after another, a whole number of them.
        count: their number.
    """

    runs: Sequence[Run]
    data: Image
    count: int


def stored_clusters(disk: Image, cluster_size: int) -> Stored:
    """Returns the clusters of a disk that have data; clusters without extents are not stored.

    Raises:
        UserError: the disk is empty, or its size is not a multiple of 512 bytes.
    """
    if not disk.size or disk.size % SECTOR:
        raise UserError(f"the disk has {disk.size} bytes; a virtual disk has one or more sectors of {SECTOR} bytes")
    ranges = data_ranges(disk, cluster_size)
    runs, total = [], 0
    for begin, end in ranges:
        count = -((begin - end) // cluster_size)
        runs.append(Run(begin // cluster_size, count, total))
        total += count
    return Stored(runs, packed(disk, ranges).resized(total * cluster_size), total)


def entries(offset: int, values: range, form: str) -> Extent:
    """Returns an extent of a table: consecutive entries with the numbers in `values`.

    Args:
        offset: of the first entry, in bytes.
        values: the numbers.
        form: byte order and type of an entry, as for `struct`, such as `>Q`.
    """
    data = struct.pack(f"{form[0]}{len(values)}{form[1]}", *values)
    return Extent(offset, len(data), Data(data))
