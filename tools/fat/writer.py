"""Writes FAT file systems.

The root directory is placed first, then all directories and files in the order of the tree, each as one contiguous
chain. File contents are ranges of their sources; free space is a hole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tools.core.errors import UserError
from tools.fat import boot, geometry, names
from tools.fat.boot import BootSector
from tools.fat.entries import ARCHIVE, DIRECTORY, VOLUME_LABEL, ShortEntry, encode_time, named_entry
from tools.fat.geometry import ENTRY_SIZE, FIRST_CLUSTER, Bits, Geometry
from tools.fat.table import PackedTable
from tools.image.extents import Data, Extent, Image
from tools.tree.capacity import CapacityError
from tools.tree.compare import printable, type_name
from tools.tree.node import Directory, File, Node

MAX_DIRECTORY_ENTRIES = 1 << 16
"""Maximum number of entries of a directory, which has at most 2 MiB (fatgen103, "FAT Directory Structure")."""

_MAX_FILE_SIZE = (1 << 32) - 1
_LINKS = (b".".ljust(names.SHORT_NAME_SIZE), b"..".ljust(names.SHORT_NAME_SIZE))
_KIB, _MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The parameters of a FAT file system.

    Attributes:
        size: size of the file system in bytes, a multiple of the sector size.
        volume_id: 32 bits.
        label: volume label, up to 11 characters; may be empty.
        bits: FAT type; by default chosen by the size.
        cluster_size: in bytes; by default chosen by the size.
        sector_size: in bytes.
    """

    size: int
    volume_id: int
    label: str = ""
    bits: Bits | None = None
    cluster_size: int | None = None
    sector_size: int = 512


@dataclass(slots=True)
class _Item:
    """A file or directory to be placed.

    Attributes:
        node: the file or directory.
        size: size of the file, or of the directory's entries, in bytes.
        parent: its directory; None for the root.
        children: (long name, short name, item) for each entry of a directory, in order.
        cluster: first cluster, or 0 for an empty chain.
    """

    node: Directory | File
    size: int
    parent: _Item | None
    children: list[tuple[str, bytes, _Item]] = field(default_factory=list)
    cluster: int = 0


def fat_image(root: Directory, options: Options) -> Image:
    """Returns the image of a FAT file system that holds a tree.

    Owners and permissions are ignored, since FAT has none. Other metadata that FAT can't store is an error.

    Args:
        root: the tree; the time of the root is that of the volume label.
        options: the file system's parameters.

    Raises:
        UserError: FAT can't store something in the tree, or the parameters are not possible; the message has a remedy.
        CapacityError: the tree doesn't fit in the size.
    """
    label = _volume_label(options.label)
    if not 0 <= options.volume_id < 1 << 32:
        raise UserError(f"volume ID {options.volume_id:#x} is not a number of 32 bits")
    items = list(_items(root, 1 if label else 0))
    shape = _choose(options, items)
    ends = _place(items, shape)
    used = ends[-1] + 1 - FIRST_CLUSTER if ends else 0
    if used > shape.clusters:
        raise CapacityError(
            f"fat: the tree does not fit in {options.size} bytes: it needs {used} clusters of {shape.cluster_size} "
            f"bytes, but there are {shape.clusters}",
            _least_size(options, items),
        )
    free = shape.clusters - used
    header = BootSector(
        geometry=shape,
        volume_id=options.volume_id,
        label=label or boot.NO_LABEL,
        root_cluster=items[0].cluster,
    )
    extents = list(boot.encode(header, free, FIRST_CLUSTER + used if free else boot.UNKNOWN).extents)
    table = PackedTable(shape.bits, ends)
    copies = (shape.fat_offset + number * shape.fat_size for number in range(shape.fat_count))
    extents += [Extent(offset, table.size, table) for offset in copies]
    for item in items:
        extents += _content(item, shape, label)
    return Image(options.size, extents)


def _volume_label(label: str) -> bytes | None:
    try:
        return names.volume_label(label) if label else None
    except ValueError as error:
        raise UserError(str(error)) from error


def _items(root: Directory, root_extra: int) -> Iterator[_Item]:
    """Yields the items to place: the root, then each directory followed by its content.

    Args:
        root: the tree.
        root_extra: number of entries of the root besides those of its children.
    """
    seen = {id(root): b""}
    stack: list[tuple[bytes, _Item]] = [(b"", _item(b"", root, None))]
    while stack:
        path, item = stack.pop()
        if isinstance(item.node, Directory):
            children = _children(path, item.node, item, seen)
            item.children = [(name, short, child) for name, short, _, child in children]
            entries = root_extra if item.parent is None else len(_LINKS)
            entries += sum(1 + names.long_entries(name) for name, _, _ in item.children)
            if entries > MAX_DIRECTORY_ENTRIES:
                raise _refused(path, item.node, f"needs {entries} entries, but FAT allows {MAX_DIRECTORY_ENTRIES}")
            item.size = entries * ENTRY_SIZE
            stack.extend((child_path, child) for _, _, child_path, child in reversed(children))
        yield item


def _children(
    path: bytes, directory: Directory, parent: _Item, seen: dict[int, bytes]
) -> list[tuple[str, bytes, bytes, _Item]]:
    """Returns (long name, short name, path, item) for the entries of a directory.

    `seen` maps the identity of each node so far to its path, to detect hard links.
    """
    found: list[tuple[str, bytes, _Item]] = []
    by_folded: dict[str, bytes] = {}
    for raw_name, node in directory.sorted_entries():
        child_path = path + b"/" + raw_name if path else raw_name
        try:
            name = names.long_name(raw_name)
        except ValueError as error:
            raise _refused(child_path, node, str(error)) from error
        other = by_folded.setdefault(names.folded(name), child_path)
        if other is not child_path:
            raise _refused(
                child_path, node, f"differs only in case from {printable(other)}, so it is the same name in FAT"
            )
        other = seen.setdefault(id(node), child_path)
        if other is not child_path:
            raise _refused(child_path, node, f"is a hard link to {printable(other)}, which FAT does not support")
        found.append((name, child_path, _item(child_path, node, parent)))
    short = names.short_names(name for name, _, _ in found)
    return [(name, short[name], child_path, item) for name, child_path, item in found]


def _item(path: bytes, node: Node, parent: _Item | None) -> _Item:
    if not isinstance(node, Directory | File):
        raise _refused(path, node, f"is a {type_name(node)}; FAT has only files and directories")
    if node.xattrs:
        attributes = b", ".join(sorted(node.xattrs)).decode("utf-8", "backslashreplace")
        raise _refused(path, node, f"has extended attributes ({attributes}), which FAT does not support")
    if node.permissions & 0o7000:
        raise _refused(path, node, f"has mode {node.permissions:o}, but FAT has no setuid, setgid or sticky bit")
    size = node.content.size if isinstance(node, File) else 0
    if size > _MAX_FILE_SIZE:
        raise _refused(path, node, f"has {size} bytes; a file in FAT has at most {_MAX_FILE_SIZE}")
    return _Item(node, size, parent)


def _refused(path: bytes, node: Node, why: str) -> UserError:
    origin = f" (from {node.origin})" if node.origin else ""
    return UserError(f"{printable(path)}{origin} {why}")


def _choose(options: Options, items: list[_Item]) -> Geometry:
    return geometry.choose(
        options.size,
        bits=options.bits,
        cluster_size=options.cluster_size,
        sector_size=options.sector_size,
        root_entries=items[0].size // ENTRY_SIZE,
    )


def _clusters(item: _Item, shape: Geometry) -> int:
    """Returns the number of clusters of an item."""
    if item.parent is None:
        # In FAT32 the root has at least one cluster; in FAT12 and FAT16 it is before the clusters.
        return max(1, -(-item.size // shape.cluster_size)) if shape.bits == 32 else 0
    return -(-item.size // shape.cluster_size)


def _place(items: list[_Item], shape: Geometry) -> list[int]:
    """Sets the first cluster of each item, and returns the last cluster of each chain."""
    ends = []
    following = FIRST_CLUSTER
    for item in items:
        count = _clusters(item, shape)
        item.cluster = following if count else 0
        if count:
            following += count
            ends.append(following - 1)
    return ends


def _content(item: _Item, shape: Geometry, label: bytes | None) -> Iterator[Extent]:
    """Yields the extents of a file's content or of a directory's entries."""
    offset = shape.cluster_offset(item.cluster) if item.cluster else shape.root_offset
    if isinstance(item.node, File):
        yield from (extent.moved(offset) for extent in item.node.content.extents)
        return
    parts = []
    times = encode_time(item.node.mtime_ns)
    if item.parent is None:
        parts += [ShortEntry(label, VOLUME_LABEL, times).encode()] if label else []
    else:
        # `..` has cluster 0 for the root, also in FAT32.
        above = 0 if item.parent.parent is None else item.parent.cluster
        above_times = encode_time(item.parent.node.mtime_ns)
        dot, dot_dot = _LINKS
        parts.append(ShortEntry(dot, DIRECTORY, times, item.cluster).encode())
        parts.append(ShortEntry(dot_dot, DIRECTORY, above_times, above).encode())
    for name, short, child in item.children:
        attributes, size = (ARCHIVE, child.size) if isinstance(child.node, File) else (DIRECTORY, 0)
        entry = ShortEntry(short, attributes, encode_time(child.node.mtime_ns), child.cluster, size)
        parts.append(named_entry(name, entry))
    data = b"".join(parts)
    yield Extent(offset, len(data), Data(data))


def _least_size(options: Options, items: list[_Item]) -> int:
    """Returns a size that is enough, a multiple of 4 KiB below 4 MiB of content and of 1 MiB above."""

    def fits(size: int) -> bool:
        try:
            shape = _choose(replace(options, size=size), items)
        except UserError:
            return False
        return sum(_clusters(item, shape) for item in items) <= shape.clusters

    content = sum(item.size for item in items)
    step = 4 * _KIB if content < 4 * _MIB else _MIB
    most = geometry.MAX_SECTORS * options.sector_size // step
    low, high = content // step, content // step + 1
    while not fits(high * step):
        if high == most:
            kind = f"FAT{options.bits}" if options.bits else "FAT"
            clusters = f" with clusters of {options.cluster_size} bytes" if options.cluster_size else ""
            raise UserError(f"no {kind} file system{clusters} has room for the tree's {content} bytes")
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle * step) else (middle, high)
    return high * step
