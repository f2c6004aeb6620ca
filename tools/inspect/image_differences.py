"""How images differ: in which member of an archive, which partition, path and field.

Disks are compared partition by partition, file systems file by file; nothing is mounted. Where everything that is
understood is the same, the first byte that differs is the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from tools.core.errors import UserError
from tools.gpt.reader import read_table
from tools.image.compare import first_difference
from tools.image.extents import Image
from tools.inspect.content_differences import byte_difference, content_differences, text_difference
from tools.inspect.difference import UNREADABLE, Difference, presence
from tools.inspect.volumes import is_disk, kind_of, read_file_system
from tools.tree.compare import differences, type_name
from tools.tree.node import Directory, File, Node, walk
from tools.tree.paths import lookup

_Place = tuple[str, ...]


def archive_differences(left: dict[str, Image], right: dict[str, Image]) -> Iterator[Difference]:
    """Yields what differs between images by name; a single image on each side is compared whatever it is called."""
    if len(left) == len(right) == 1:
        yield from image_differences(next(iter(left.values())), next(iter(right.values())), ())
        return
    for name in sorted(left.keys() | right.keys()):
        if name in left and name in right:
            yield from image_differences(left[name], right[name], (name,))
        else:
            yield presence((name or "the image",), "image", on_left=name in left)


def image_differences(left: Image, right: Image, where: _Place) -> Iterator[Difference]:
    """Yields what differs between two images, which are at `where`; nothing if they read the same."""
    offset = first_difference(left, right)
    if offset is None:
        return
    described = False
    for difference in _described(left, right, where):
        described = True
        yield difference
    if not described:
        yield byte_difference(left, right, offset, where)


def _described(left: Image, right: Image, where: _Place) -> Iterator[Difference]:
    """Yields what differs in what is understood of two images."""
    yield from _values(where, "size", left.size, right.size)
    kinds = ["disk" if is_disk(image) else kind_of(image) or "other data" for image in (left, right)]
    if kinds[0] != kinds[1]:
        yield Difference(where, "kind", *kinds)
        return
    try:
        if kinds[0] == "disk":
            yield from _disk_differences(left, right, where)
        elif kinds[0] != "other data":
            yield from _file_system_differences(left, right, where)
        elif text := text_difference(left, right):
            yield byte_difference(left, right, first_difference(left, right) or 0, where, text=text)
    except UserError as error:
        yield Difference(where, UNREADABLE, note=str(error))


def _disk_differences(left: Image, right: Image, where: _Place) -> Iterator[Difference]:
    """Yields what differs in the tables of two disks, and in their partitions."""
    tables = read_table(left, _origin(where, "left")), read_table(right, _origin(where, "right"))
    for name in ("disk_guid", "sector_size"):
        yield from _values(where, name, getattr(tables[0], name), getattr(tables[1], name))
    entries = [{entry.number: entry for entry in table.entries} for table in tables]
    for number in sorted(entries[0].keys() | entries[1].keys()):
        one, other = entries[0].get(number), entries[1].get(number)
        if one is None or other is None:
            name = (one or other).name  # type: ignore[union-attr]  # the number is of one of them
            yield presence((*where, f"partition {number} ({name})"), "partition", on_left=one is not None)
            continue
        place = (*where, f"partition {number} ({one.name})")
        for name, value in asdict(one).items():
            yield from _values(place, name, value, getattr(other, name))
        content = left.slice(one.offset, one.size)
        yield from image_differences(content, right.slice(other.offset, other.size), place)


def _file_system_differences(left: Image, right: Image, where: _Place) -> Iterator[Difference]:
    """Yields what differs in the parameters of two file systems, and in their files."""
    one, other = read_file_system(left, _origin(where, "left")), read_file_system(right, _origin(where, "right"))
    yield from _values(where, "kind", one.kind, other.kind)
    for name in one.parameters:
        yield from _values(where, name, one.parameters[name], other.parameters.get(name))
    yield from tree_differences(one.root, other.root, where)


def tree_differences(left: Directory, right: Directory, where: _Place) -> Iterator[Difference]:
    """Yields what differs between two trees, which are at `where`; of what one side lacks, all that is below it."""
    for found in differences(left, right):
        parts = found.path.split(b"/") if found.path else []
        place = (*where, _path(found.path))
        if found.field == "path":
            node = lookup(left if found.left else right, parts)
            yield from _only(node, found.path, where, on_left=bool(found.left))
            continue
        if found.field != "content":
            yield Difference(place, found.field, found.left or None, found.right or None)
        if found.field in ("content", "size"):
            one, other = lookup(left, parts), lookup(right, parts)
            if isinstance(one, File) and isinstance(other, File):
                yield from content_differences(one.content, other.content, place)


def _only(top: Node | None, path: bytes, where: _Place, *, on_left: bool) -> Iterator[Difference]:
    """Yields a difference for a node that only one tree has, and for each one below it."""
    for below, node in walk(top) if isinstance(top, Directory) else [(b"", top)]:
        if node is not None:
            name = _path(path + b"/" * (below != b"") + below)
            yield presence((*where, name), type_name(node), on_left=on_left)


def _path(path: bytes) -> str:
    return "/" + path.decode("utf-8", "surrogateescape")


def _origin(where: _Place, side: str) -> str:
    return ": ".join((*where, side))


def _values(where: _Place, field: str, left: object, right: object) -> Iterator[Difference]:
    if left != right:
        yield Difference(where, field, *(None if value is None else str(value) for value in (left, right)))
