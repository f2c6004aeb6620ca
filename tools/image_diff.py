"""Says in what two images differ: which member, partition, path and field. Exits with 1 if they do.

Disks are compared partition by partition, file systems file by file; nothing is mounted. Where all that is understood
is the same, the first byte that differs is named. An image is a raw file or a plain tar.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tools.cli import argument, run
from tools.errors import UserError
from tools.gpt.reader import read_table
from tools.image.compare import first_difference
from tools.image.extents import Image
from tools.image.reading import open_images
from tools.outputs import write_to_stdout
from tools.tree.compare import differences
from tools.volumes import is_disk, kind_of, open_partition, read_file_system


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    left: str = argument("an image of a file system or a disk, or an archive of images: raw, or a plain tar")
    right: str = argument("the other one")
    partition: str | None = argument("compare this partition only, by name or number", default=None)
    most: int = argument("how many differences to print; 0 for all", default=20)


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
        values = (f"0x{image.read(offset, 1).hex()}" if offset < image.size else "none" for image in (left, right))
        yield f"{where}byte {offset}: {' / '.join(values)}"


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


def found(arguments: Arguments) -> Iterator[str]:
    """Yields the differences between what the arguments name."""
    if arguments.partition is None:
        yield from archive_differences(open_images(arguments.left), open_images(arguments.right))
    else:
        left, right = (open_partition(path, arguments.partition) for path in (arguments.left, arguments.right))
        yield from image_differences(left, right, f"partition {arguments.partition}: ")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    all_found = found(arguments)
    shown = list(itertools.islice(all_found, arguments.most or None))
    more = next(all_found, None) is not None
    write_to_stdout(f"{line}\n".encode() for line in (*shown, *(["and more"] * more)))
    if shown:
        raise UserError(f"{arguments.left} and {arguments.right} differ")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
