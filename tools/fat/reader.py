"""Reads FAT file systems, believing nothing: every place is checked, and no cluster is in two chains.

Source of the format: as for the writer's modules. Times are taken as UTC. Attributes (hidden, system, read-only) have
no place in a tree and are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.fat import boot, names
from tools.fat.entries import (
    DIRECTORY,
    LAST_LONG_ENTRY,
    LONG_ENTRY,
    LONG_NAME,
    SHORT_ENTRY,
    VOLUME_LABEL,
    decode_time,
)
from tools.fat.geometry import ENTRY_SIZE, FIRST_CLUSTER, Bits, Geometry
from tools.fat.table import LEAST_END
from tools.image.extents import Image
from tools.tree.node import Directory, File, Node

_END = 0
_DELETED = 0xE5
_DELETED_ESCAPED = 0x05
"""A first byte that really is 0xE5 is written as this."""

_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
"""Case flags of Windows NT: the short name's parts are to be shown in lower case."""

_MOST_DIRECTORY_SIZE = (1 << 16) * ENTRY_SIZE
_CODE_PAGE = "cp850"
_TABLE_WINDOW = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FatVolume:
    """A FAT file system that was read.

    Attributes:
        geometry: where its parts stand; the type is `geometry.bits`.
        volume_id: 32 bits.
        label: from the root directory, or else from the boot sector; empty for none.
        root: its tree; file contents are ranges of the image.
    """

    geometry: Geometry
    volume_id: int
    label: str
    root: Directory


def read_fat(image: Image, origin: str = "FAT image") -> FatVolume:
    """Returns the file system of an image.

    Args:
        image: the file system from its first byte on.
        origin: what to call the image in messages.

    Raises:
        UserError: it is none, or it is damaged.
    """
    try:
        return _Reader(image, origin).volume()
    except UserError as error:
        raise UserError(f"{origin}: {error}") from error


class _Reader:
    """The state of reading one file system."""

    def __init__(self, image: Image, origin: str) -> None:
        self._image = image
        self._origin = origin
        self._boot = boot.decode(image)
        self._geometry = self._boot.geometry
        self._next = _Table(image, self._geometry)
        self._taken = bytearray(-(-(self._geometry.clusters + FIRST_CLUSTER) // 8))

    def volume(self) -> FatVolume:
        if self._geometry.bits == 32:
            entries = self._chain(self._boot.root_cluster, None, "/")
        else:
            size = self._geometry.root_entries * ENTRY_SIZE
            entries = self._image.slice(self._geometry.root_offset, size)
        root = Directory(origin=self._origin)
        label = self._boot.label if self._boot.label != boot.NO_LABEL else b""
        pending = [("", root, entries)]
        while pending:
            path, directory, entries = pending.pop()
            for entry in _entries(entries):
                child = f"{path}/{entry.name}"
                if entry.attributes & VOLUME_LABEL:
                    label = entry.short if not path else label
                    continue
                name = entry.name.encode("utf-8", "surrogatepass")
                if name in directory.entries or not name or b"/" in name or name in {b".", b".."}:
                    raise UserError(f"{child!r} is there twice, or is not a name")
                directory.entries[name] = node = self._node(entry, child, pending)
                node.mtime_ns, node.origin = decode_time(entry.date, entry.time), self._origin
        shown = label.decode(_CODE_PAGE).rstrip(" \0")
        return FatVolume(geometry=self._geometry, volume_id=self._boot.volume_id, label=shown, root=root)

    def _node(self, entry: _Entry, path: str, pending: list[tuple[str, Directory, Image]]) -> Node:
        """Returns the node for an entry; a directory's entries are left for later, in `pending`."""
        if not entry.attributes & DIRECTORY:
            return File(content=self._chain(entry.cluster, entry.size, path))
        directory = Directory()
        pending.append((path, directory, self._chain(entry.cluster, None, path)))
        return directory

    def _chain(self, cluster: int, size: int | None, path: str) -> Image:
        """Returns what is in a chain of clusters.

        Args:
            cluster: the first one; 0 for none.
            size: the size in bytes that the chain must be for; None for a directory, which has just its clusters.
            path: for messages.
        """
        cluster_size = self._geometry.cluster_size
        most = -(-(_MOST_DIRECTORY_SIZE if size is None else size) // cluster_size)
        parts: list[tuple[int, Image]] = []
        count = 0
        for first, length in self._chain_runs(cluster, most, path) if cluster else ():
            offset = self._geometry.cluster_offset(first)
            parts.append((count * cluster_size, self._image.slice(offset, length * cluster_size)))
            count += length
        if size is None and not count:
            raise UserError(f"the directory {path!r} has no cluster")
        if size is not None and count != most:
            raise UserError(f"{path!r} has {count} clusters, too few for its {size} bytes")
        whole = Image.compose(count * cluster_size, parts)
        return whole if size is None else whole.slice(0, size)

    def _chain_runs(self, cluster: int, most: int, path: str) -> Iterator[tuple[int, int]]:
        """Yields the runs of consecutive clusters of a chain as (first, number)."""
        geometry = self._geometry
        first, length, total = cluster, 0, 0
        while True:
            if not FIRST_CLUSTER <= cluster < geometry.clusters + FIRST_CLUSTER:
                raise UserError(f"{path!r} goes on at cluster {cluster}, which does not exist")
            byte, bit = cluster >> 3, 1 << (cluster & 7)
            if self._taken[byte] & bit:
                raise UserError(f"{path!r} has cluster {cluster}, which belongs to something else as well")
            self._taken[byte] |= bit
            length += 1
            total += 1
            if total > most:
                raise UserError(f"{path!r} has more than the {most} clusters that it should have")
            following = self._next[cluster]
            if following >= LEAST_END[geometry.bits]:
                yield first, length
                return
            if following != cluster + 1:
                yield first, length
                first, length = following, 0
            cluster = following


class _Table:
    """The first FAT of an image, read in windows."""

    def __init__(self, image: Image, geometry: Geometry) -> None:
        self._image = image
        self._bits: Bits = geometry.bits
        self._offset = geometry.fat_offset
        self._size = geometry.fat_size
        self._begin = 0
        self._window = b""

    def __getitem__(self, cluster: int) -> int:
        position = cluster * self._bits // 8
        width = 4 if self._bits == 32 else 2
        if not self._begin <= position <= self._begin + len(self._window) - width:
            self._begin = position
            self._window = self._image.read(self._offset + position, min(_TABLE_WINDOW, self._size - position))
        value = int.from_bytes(self._window[position - self._begin :][:width], "little")
        if self._bits == 12:
            return value >> 4 if cluster & 1 else value & 0xFFF
        return value & 0x0FFFFFFF if self._bits == 32 else value


@dataclass(frozen=True, slots=True)
class _Entry:
    """A directory entry with its long name, if it has one."""

    name: str
    short: bytes
    attributes: int
    cluster: int
    size: int
    date: int
    time: int


def _entries(image: Image) -> Iterator[_Entry]:
    """Yields the entries of a directory, without those that say where it is itself."""
    long_parts: list[bytes] = []
    for raw in _raw_entries(image):
        short, attributes, flags, _, _, _, _, high, time, date, low, size = SHORT_ENTRY.unpack(raw)
        if raw[0] == _DELETED:
            long_parts = []
        elif attributes & 0x3F == LONG_NAME:
            if raw[0] & LAST_LONG_ENTRY:
                long_parts = []
            long_parts.append(raw)
        else:
            if short.rstrip() not in {b".", b".."}:
                name = _long_name(long_parts, short) or _short_name(short, flags)
                yield _Entry(name, short, attributes, high << 16 | low, size, date, time)
            long_parts = []


def _raw_entries(image: Image) -> Iterator[bytes]:
    """Yields entries of 32 bytes up to the one that says that none follow."""
    for begin in range(0, image.size, _TABLE_WINDOW):
        data = image.read(begin, min(_TABLE_WINDOW, image.size - begin))
        for offset in range(0, len(data), ENTRY_SIZE):
            if data[offset] == _END:
                return
            yield data[offset : offset + ENTRY_SIZE]


def _long_name(parts: list[bytes], short: bytes) -> str | None:
    """Returns the long name that the entries before a short one give, None if they are not a whole one for it."""
    total = names.checksum(short)
    units = b""
    for index, raw in enumerate(parts):
        ordinal, first, _, _, part_total, second, _, third = LONG_ENTRY.unpack(raw)
        expected = len(parts) - index | (0 if index else LAST_LONG_ENTRY)
        if part_total != total or ordinal != expected:
            return None
        units = first + second + third + units
    for offset in range(0, len(units), 2):
        if units[offset : offset + 2] == b"\0\0":
            units = units[:offset]
            break
    return units.decode("utf-16-le", "surrogatepass") or None


def _short_name(short: bytes, flags: int) -> str:
    if short[0] == _DELETED_ESCAPED:
        short = bytes([_DELETED]) + short[1:]
    base, extension = short[:8].decode(_CODE_PAGE).rstrip(), short[8:].decode(_CODE_PAGE).rstrip()
    base = base.lower() if flags & _LOWER_BASE else base
    extension = extension.lower() if flags & _LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base
