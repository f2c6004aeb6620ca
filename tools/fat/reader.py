"""Reads FAT file systems, and checks them: all offsets are validated, and no cluster may be in two chains.

See the other modules for the specification. Times are UTC. The attributes hidden, system and read-only are ignored,
since a tree doesn't have them.
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
from tools.fat.table import MIN_END_OF_CHAIN
from tools.image.extents import Image
from tools.tree.node import Directory, File, Node

_END = 0
_DELETED = 0xE5
_DELETED_ESCAPED = 0x05
"""Stands for 0xE5 as the first byte of a short name."""

_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
"""Case flags of Windows NT: base or extension of the short name are in lower case."""

_MAX_DIRECTORY_SIZE = (1 << 16) * ENTRY_SIZE
_CODE_PAGE = "cp850"
_TABLE_WINDOW = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FatVolume:
    """A FAT file system read from an image.

    Attributes:
        geometry: its layout; `geometry.bits` is the FAT type.
        volume_id: 32 bits.
        label: volume label from the root directory, else from the boot sector; may be empty.
        root: its tree; file contents are ranges of the image.
    """

    geometry: Geometry
    volume_id: int
    label: str
    root: Directory


def read_fat(image: Image, origin: str = "FAT image") -> FatVolume:
    """Reads the file system in an image.

    Args:
        image: the image, which starts with the file system.
        origin: name of the image in messages.

    Raises:
        UserError: the image is not a FAT file system, or it is damaged.
    """
    try:
        return _Reader(image, origin).volume()
    except UserError as error:
        raise UserError(f"{origin}: {error}") from error


class _Reader:
    """Reads one file system."""

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
                    raise UserError(f"{child!r} occurs twice, or is not a valid name")
                directory.entries[name] = node = self._node(entry, child, pending)
                node.mtime_ns, node.origin = decode_time(entry.date, entry.time), self._origin
        shown = label.decode(_CODE_PAGE).rstrip(" \0")
        return FatVolume(geometry=self._geometry, volume_id=self._boot.volume_id, label=shown, root=root)

    def _node(self, entry: _Entry, path: str, pending: list[tuple[str, Directory, Image]]) -> Node:
        """Returns the node for an entry; appends a directory with its entries to `pending`, to be read later."""
        if not entry.attributes & DIRECTORY:
            return File(content=self._chain(entry.cluster, entry.size, path))
        directory = Directory()
        pending.append((path, directory, self._chain(entry.cluster, None, path)))
        return directory

    def _chain(self, cluster: int, size: int | None, path: str) -> Image:
        """Returns the content of a cluster chain.

        Args:
            cluster: first cluster, or 0 for an empty chain.
            size: size of the file in bytes, which the length of the chain must match; None for a directory.
            path: path in messages.
        """
        cluster_size = self._geometry.cluster_size
        most = -(-(_MAX_DIRECTORY_SIZE if size is None else size) // cluster_size)
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
        """Yields the runs of consecutive clusters of a chain, as (first cluster, number of clusters)."""
        geometry = self._geometry
        first, length, total = cluster, 0, 0
        while True:
            if not FIRST_CLUSTER <= cluster < geometry.clusters + FIRST_CLUSTER:
                raise UserError(f"{path!r} has cluster {cluster}, which does not exist")
            byte, bit = cluster >> 3, 1 << (cluster & 7)
            if self._taken[byte] & bit:
                raise UserError(f"{path!r} has cluster {cluster}, which another file has, too")
            self._taken[byte] |= bit
            length += 1
            total += 1
            if total > most:
                raise UserError(f"{path!r} has more than {most} clusters, the number for its size")
            following = self._next[cluster]
            if following >= MIN_END_OF_CHAIN[geometry.bits]:
                yield first, length
                return
            if following != cluster + 1:
                yield first, length
                first, length = following, 0
            cluster = following


class _Table:
    """The entries of the first FAT of an image, read in windows of 64 KiB."""

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
    """A directory entry; `name` is its long name, or else its short name."""

    name: str
    short: bytes
    attributes: int
    cluster: int
    size: int
    date: int
    time: int


def _entries(image: Image) -> Iterator[_Entry]:
    """Yields the entries of a directory, without `.` and `..`."""
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
    """Yields entries of 32 bytes, up to the end mark."""
    for begin in range(0, image.size, _TABLE_WINDOW):
        data = image.read(begin, min(_TABLE_WINDOW, image.size - begin))
        for offset in range(0, len(data), ENTRY_SIZE):
            if data[offset] == _END:
                return
            yield data[offset : offset + ENTRY_SIZE]


def _long_name(parts: list[bytes], short: bytes) -> str | None:
    """Returns the long name in the entries before a short entry; None if they are incomplete or don't belong to it."""
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
