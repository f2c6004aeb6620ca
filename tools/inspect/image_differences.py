"""What differs between images, in words: which member of an archive, which partition, path and field.

Disks are compared partition by partition, file systems file by file; nothing is mounted. Where all that is understood
is the same, the first byte that differs is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from tools.core.errors import UserError
from tools.gpt.reader import read_table
from tools.image.compare import first_difference
from tools.image.extents import Image
from tools.inspect.volumes import is_disk, kind_of, read_file_system
from tools.tree.compare import differences


def archive_differences(left: dict[str, Image], right: dict[str, Image]) -> Iterator[str]:
    """Yields what differs between images by name; a single image on each side is compared whatever it is called."""
    if len(left) == len(right) == 1:
        yield from image_differences(next(iter(left.values())), next(iter(right.values())), "")
        return
    for name in sorted(left.keys() | right.keys()):
        if name in left and name in right:
            yield from image_differences(left[name], right[name], f"{name}: ")
        else:
            yield f"{name or 'the image'}: only in the {'left' if name in left else 'right'}"


def image_differences(left: Image, right: Image, where: str) -> Iterator[str]:
    """Yields what differs between two images, in words that start with `where`; nothing if they read the same."""
    offset = first_difference(left, right)
    if offset is None:
        return
    described = False
    for difference in _described(left, right, where):
        described = True
        yield difference
    if not described:
        yield where + byte_difference(left, right, offset)


def byte_difference(left: Image, right: Image, offset: int) -> str:
    """Returns what two images have at an offset, in words."""
    values = (f"0x{image.read(offset, 1).hex()}" if offset < image.size else "none" for image in (left, right))
    return f"byte {offset}: {' / '.join(values)}"


def _described(left: Image, right: Image, where: str) -> Iterator[str]:
    """Yields what differs in what is understood of two images."""
    if left.size != right.size:
        yield f"{where}size: {left.size} / {right.size}"
    kinds = ["disk" if is_disk(image) else kind_of(image) or "other data" for image in (left, right)]
    if kinds[0] != kinds[1]:
        yield f"{where}kind: {kinds[0]} / {kinds[1]}"
        return
    try:
        if kinds[0] == "disk":
            yield from _disk_differences(left, right, where)
        elif kinds[0] != "other data":
            yield from _file_system_differences(left, right, where)
    except UserError as error:
        yield f"{where}cannot be compared in detail: {error}"


def _disk_differences(left: Image, right: Image, where: str) -> Iterator[str]:
    """Yields what differs in the tables of two disks, and in their partitions."""
    tables = read_table(left, f"{where}left"), read_table(right, f"{where}right")
    for name in ("disk_guid", "sector_size"):
        yield from _values(f"{where}{name}", getattr(tables[0], name), getattr(tables[1], name))
    entries = [{entry.number: entry for entry in table.entries} for table in tables]
    for number in sorted(entries[0].keys() | entries[1].keys()):
        one, other = entries[0].get(number), entries[1].get(number)
        if one is None or other is None:
            names = [f"{entry.name!r} only in the {side}" for entry, side in ((one, "left"), (other, "right")) if entry]
            yield f"{where}partition {number}: {names[0]}"
            continue
        place = f"{where}partition {number} ({one.name}): "
        for name, value in asdict(one).items():
            yield from _values(place + name, value, getattr(other, name))
        content = left.slice(one.offset, one.size)
        yield from image_differences(content, right.slice(other.offset, other.size), place)


def _file_system_differences(left: Image, right: Image, where: str) -> Iterator[str]:
    """Yields what differs in the parameters of two file systems, and in their files."""
    one, other = read_file_system(left, f"{where}left"), read_file_system(right, f"{where}right")
    yield from _values(f"{where}kind", one.kind, other.kind)
    for name in one.parameters:
        yield from _values(f"{where}{name}", one.parameters[name], other.parameters.get(name))
    yield from (f"{where}{difference}" for difference in differences(one.root, other.root))


def _values(what: str, left: object, right: object) -> Iterator[str]:
    if left != right:
        yield f"{what}: {left} / {right}"
