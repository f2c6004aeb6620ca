"""Reads a FAT16 file system, and replaces a directory of its root so that a power cut leaves the old or the new one.

Nothing that is in use is overwritten: the new files go to free clusters, which no directory names yet. One write of one
sector of the root directory then gives the name of the directory to the new clusters, and another name, that of the
kept copy, to the old ones. Until then the file system is as before, and after it has both directories; a power cut at
another time leaves clusters that are allocated and in no file, which the next call frees.

Formats: Microsoft, "FAT: General Overview of On-Disk Format", 1.03 (fatgen103). What is not as expected is refused:
other sizes of sectors, other types of FAT, chains that loop, leave the volume, or share a cluster.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from guestos.errors import GuestError, StateError
from guestos.partition import CHUNK, Partition

SECTOR = 512

_BOOT = struct.Struct("<11xHBHBHHBHHHII")
"""Sector size, sectors per cluster, reserved sectors, FATs, root entries, 16-bit sectors, media, sectors of a FAT, two
fields of disks, hidden sectors, 32-bit sectors."""
_BOOT_SIGNATURE = b"\x55\xaa"
_SIZES_OF_CLUSTERS = tuple(1 << shift for shift in range(8))
_LEAST_CLUSTERS, _END_CLUSTERS = 4085, 65525
"""The numbers of clusters of FAT16 (fatgen103, "FAT Type Determination")."""

_FIRST = 2
_FREE, _BAD, _LAST, _END_OF_CHAIN = 0, 0xFFF7, 0xFFF8, 0xFFFF
"""Entries of a FAT: a free cluster, a bad one, the least value that ends a chain, and the one that is written."""

_ENTRY = struct.Struct("<11sB8xHHHHI")
"""Name, attributes, high half of the first cluster, time and date of the last write, low half, size."""
_DIRECTORY, _ARCHIVE, _LABEL = 0x10, 0x20, 0x08
"""Attributes. An entry of a long name has that of a label, too."""
_DELETED, _UNUSED = b"\xe5", b"\0"
_NAME = re.compile(r"([A-Z0-9_-]{1,8})(?:\.([A-Z0-9_-]{1,3}))?")
_MOST_FILES = 1 << 12
_DATE = 0x0021
"""1980-01-01, the first date: what is written does not depend on a clock."""

Tree = dict[str, "bytes | Tree"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or directory, and its clusters in order; `place` is the offset of its entry on the volume, in bytes."""

    place: int
    raw: bytes
    chain: list[int]

    @property
    def is_directory(self) -> bool:
        return bool(self.raw[11] & _DIRECTORY)

    @property
    def size(self) -> int:
        return int(_ENTRY.unpack(self.raw)[6])


@dataclass(slots=True)
class _New:
    """What is to be written: the content of clusters, and the entries of the FAT for them."""

    free: Iterator[int]
    blocks: dict[int, bytes] = field(default_factory=dict)
    links: dict[int, int] = field(default_factory=dict)


class Volume:
    """A FAT16 file system on a partition that is open exclusively."""

    def __init__(self, partition: Partition) -> None:
        """Reads all directories.

        Args:
            partition: the partition, which is not mounted.

        Raises:
            GuestError: it has no FAT16 file system, or a damaged one, or cannot be read.
        """
        self._partition = partition
        self._read_geometry()
        entries = self._clusters + _FIRST
        self._fat = list(struct.unpack(f"<{entries}H", partition.read(self._fat_at, 2 * entries)))
        self._used: set[int] = set()
        self._entries: dict[str, _Entry] = {}
        self._walk()

    def _problem(self, text: str) -> GuestError:
        return GuestError(f"{self._partition.path}: {text}; its file system is not changed")

    def _read_geometry(self) -> None:
        sector = self._partition.read(0, SECTOR)
        size, per_cluster, reserved, copies, roots, total, _, length, _, _, _, large = _BOOT.unpack_from(sector)
        if sector[-2:] != _BOOT_SIGNATURE or size != SECTOR or per_cluster not in _SIZES_OF_CLUSTERS:
            raise self._problem("has no FAT file system with sectors of 512 bytes")
        total = total or large
        self._fat_at: int = reserved * SECTOR
        self._fat_size: int = length * SECTOR
        self._copies: int = copies
        self._root_at: int = self._fat_at + copies * self._fat_size
        self._data_at: int = self._root_at + roots * _ENTRY.size
        self._cluster_size: int = per_cluster * SECTOR
        self._clusters: int = (total * SECTOR - self._data_at) // self._cluster_size
        if not (reserved and copies in (1, 2) and roots and roots % (SECTOR // _ENTRY.size) == 0):
            raise self._problem("has a FAT file system that this program does not know")
        if not _LEAST_CLUSTERS <= self._clusters < _END_CLUSTERS:
            raise self._problem("has no FAT16 file system")
        if total * SECTOR > self._partition.size or 2 * (self._clusters + _FIRST) > self._fat_size:
            raise self._problem("has a FAT file system that is cut off")

    def _place(self, cluster: int) -> int:
        return self._data_at + (cluster - _FIRST) * self._cluster_size

    def _chain(self, first: int, path: str) -> list[int]:
        """Returns the clusters of a file or directory; no cluster belongs to two, so that no chain loops."""
        found = []
        cluster = first
        while cluster < _LAST:
            if not _FIRST <= cluster < self._clusters + _FIRST or cluster in self._used:
                raise self._problem(f"{path}: its chain has the cluster {cluster}, which is not its own")
            self._used.add(cluster)
            found.append(cluster)
            cluster = self._fat[cluster]
        return found

    def _walk(self) -> None:
        waiting = [("", [(self._root_at, self._data_at - self._root_at)])]
        while waiting:
            folder, places = waiting.pop()
            for place, raw in self._raw_entries(places):
                name, _, high, _, _, low, size = _ENTRY.unpack(raw)
                path = folder + _shown(name)
                is_directory = bool(raw[11] & _DIRECTORY)
                chain = self._chain(low, path) if low or high or size or is_directory else []
                if high or (not is_directory and size > len(chain) * self._cluster_size):
                    raise self._problem(f"{path}: its entry is damaged")
                if path in self._entries or len(self._entries) >= _MOST_FILES:
                    raise self._problem(f"{path}: is there twice, or there are more than {_MOST_FILES} files")
                self._entries[path] = _Entry(place, raw, chain)
                if is_directory:
                    waiting.append((f"{path}/", [(self._place(each), self._cluster_size) for each in chain]))

    def _raw_entries(self, places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """Yields place and bytes of the entries of a directory with short names, except `.` and `..`."""
        for begin, length in places:
            data = self._partition.read(begin, length)
            for offset in range(0, length, _ENTRY.size):
                raw = data[offset : offset + _ENTRY.size]
                if raw[:1] == _UNUSED:
                    return
                if raw[:1] not in (_DELETED, b".") and not raw[11] & _LABEL:
                    yield begin + offset, raw

    def files(self, name: str) -> dict[str, bytes] | None:
        """Returns the files below a directory of the root, by their short names such as `BOOT/BOOTX64.EFI`.

        Args:
            name: of the directory.

        Returns:
            the content by path; None if there is no such directory.
        """
        if name not in self._entries or not self._entries[name].is_directory:
            return None
        found = {}
        for path, entry in self._entries.items():
            if path.startswith(f"{name}/") and not entry.is_directory:
                data = b"".join(self._partition.read(self._place(each), self._cluster_size) for each in entry.chain)
                found[path.removeprefix(f"{name}/")] = data[: entry.size]
        return found

    def replace(self, name: str, kept: str, files: Mapping[str, bytes]) -> None:
        """Replaces a directory of the root, and keeps the old one under another name, whose directory is deleted.

        Args:
            name: of the directory.
            kept: the other name, also of a directory of the root; there need not be one.
            files: the content of the new one, by paths like those of `files`, in capitals.

        Raises:
            StateError: the files do not fit, or both entries cannot be in one sector; nothing was changed.
            GuestError: a write failed, or was lost; the old directory is in place, unless the last write was the one.
        """
        place, sector = self._switched_sector(name, kept)
        new = _New(self._free_clusters())
        first = self._lay_out(_tree(files), 0, new)
        self._write_blocks(new)
        self._write_table(new.links)
        offset = self._entries[name].place - place
        struct.pack_into("<H", sector, offset + 26, first)
        self._partition.write(place, bytes(sector))
        self._partition.sync()
        self._compare(place, bytes(sector))
        Volume(self._partition).tidy()

    def tidy(self) -> None:
        """Frees clusters that are in no file, which a power cut may leave. Writes nothing if there are none.

        Raises:
            GuestError: the file system cannot be written.
        """
        self._write_table({})

    def _switched_sector(self, name: str, kept: str) -> tuple[int, bytearray]:
        """Returns place and content of the sector with the entry of a directory, with that of the kept copy."""
        entry, other = self._entries.get(name), self._entries.get(kept)
        if entry is None or not entry.is_directory:
            raise StateError(f"{self._partition.path}: has no directory {name} to replace; nothing was changed")
        place = entry.place // SECTOR * SECTOR
        sector = bytearray(self._partition.read(place, SECTOR))
        at = self._unused_entry(place, sector) if other is None else other.place - place
        if at is None or not 0 <= at < SECTOR:
            raise StateError(
                f"{self._partition.path}: the entry of {kept} cannot be in the sector of {name}; nothing was changed"
            )
        ends = other is None and sector[at : at + 1] == _UNUSED
        sector[at : at + _ENTRY.size] = _short_name(kept) + entry.raw[11:]
        if ends and at + _ENTRY.size < SECTOR:
            sector[at + _ENTRY.size] = 0
        return place, sector

    def _unused_entry(self, place: int, sector: bytearray) -> int | None:
        for offset in range(0, SECTOR, _ENTRY.size):
            following = place + offset + _ENTRY.size
            if sector[offset : offset + 1] == _DELETED:
                return offset
            if sector[offset : offset + 1] == _UNUSED:
                # All behind an unused entry is unused, too; its successor in another sector would have to say so.
                inside = following % SECTOR != 0 or following == self._data_at
                return offset if inside or self._partition.read(following, 1) == _UNUSED else None
        return None

    def _free_clusters(self) -> Iterator[int]:
        for cluster in range(_FIRST, self._clusters + _FIRST):
            if cluster not in self._used and self._fat[cluster] != _BAD:
                yield cluster
        raise StateError(f"{self._partition.path}: has no room for the new files; nothing was changed")

    def _lay_out(self, tree: Tree, parent: int, new: _New) -> int:
        """Lays out a directory with all below it; returns its first cluster."""
        chain = self._allocate((2 + len(tree)) * _ENTRY.size, new)
        # The parent of a directory in the root is 0.
        data = _entry(b".".ljust(11), _DIRECTORY, chain[0]) + _entry(b"..".ljust(11), _DIRECTORY, parent)
        for name, content in sorted(tree.items()):
            if isinstance(content, dict):
                data += _entry(_short_name(name), _DIRECTORY, self._lay_out(content, chain[0], new))
                continue
            clusters = self._allocate(len(content), new)
            self._fill(clusters, content, new)
            data += _entry(_short_name(name), _ARCHIVE, clusters[0] if clusters else 0, len(content))
        self._fill(chain, data, new)
        return chain[0]

    def _allocate(self, size: int, new: _New) -> list[int]:
        chain = [next(new.free) for _ in range(-(-size // self._cluster_size))]
        new.links.update(zip(chain, [*chain[1:], _END_OF_CHAIN], strict=False))
        return chain

    def _fill(self, chain: list[int], data: bytes, new: _New) -> None:
        for number, cluster in enumerate(chain):
            part = data[number * self._cluster_size : (number + 1) * self._cluster_size]
            new.blocks[cluster] = part.ljust(self._cluster_size, b"\0")

    def _write_blocks(self, new: _New) -> None:
        runs: list[tuple[int, bytearray]] = []
        for cluster, data in sorted(new.blocks.items()):
            place = self._place(cluster)
            if not runs or runs[-1][0] + len(runs[-1][1]) != place or len(runs[-1][1]) >= CHUNK:
                runs.append((place, bytearray()))
            runs[-1][1].extend(data)
        for place, run in runs:
            self._partition.write(place, bytes(run))
        self._partition.sync()
        for place, run in runs:
            self._compare(place, bytes(run))

    def _write_table(self, links: Mapping[int, int]) -> None:
        """Writes the sectors of the FATs that differ: what is in use as it is, and further chains; all else is free."""
        table = [
            value if cluster < _FIRST or cluster in self._used or value == _BAD else _FREE
            for cluster, value in enumerate(self._fat)
        ]
        for cluster, following in links.items():
            table[cluster] = following
        packed = struct.pack(f"<{len(table)}H", *table)
        for number in range(self._copies):
            self._write_copy(self._fat_at + number * self._fat_size, packed)

    def _write_copy(self, place: int, packed: bytes) -> None:
        before = self._partition.read(place, self._fat_size)
        after = packed + before[len(packed) :]
        changed = [at for at in range(0, len(after), SECTOR) if after[at : at + SECTOR] != before[at : at + SECTOR]]
        if not changed:
            return
        for at in changed:
            self._partition.write(place + at, after[at : at + SECTOR])
        self._partition.sync()
        self._compare(place, after)

    def _compare(self, place: int, data: bytes) -> None:
        """Compares what was written with the disk, past the page cache."""
        begin = place // CHUNK * CHUNK
        found = b"".join(self._partition.read_back(begin, place + len(data)))[place - begin :]
        if found != data:
            raise GuestError(f"{self._partition.path}: reads back differently from what was written, at byte {place}")


def _entry(name: bytes, attributes: int, cluster: int, size: int = 0) -> bytes:
    return _ENTRY.pack(name, attributes, 0, 0, _DATE, cluster, size)


def _tree(files: Mapping[str, bytes]) -> Tree:
    root: Tree = {}
    for path, content in files.items():
        *folders, name = path.split("/")
        tree = root
        for folder in folders:
            below = tree.setdefault(folder, {})
            assert isinstance(below, dict)
            tree = below
        tree[name] = content
    return root


def _shown(name: bytes) -> str:
    """Returns a short name as it is written, such as BOOTX64.EFI; bytes of other character sets as escapes."""
    base, extension = (part.rstrip(b" ").decode("ascii", "backslashreplace") for part in (name[:8], name[8:]))
    return f"{base}.{extension}" if extension else base


def _short_name(name: str) -> bytes:
    match = _NAME.fullmatch(name)
    if match is None:
        raise StateError(f"{name}: is no name of FAT with eight characters and three of an extension")
    return match[1].encode().ljust(8) + (match[2] or "").encode().ljust(3)
