"""Describes a disk that is an ISO image, too: a CD-ROM of the same bytes, whose files are the disk's partitions.

The structures of ISO 9660 are between the partition table, which ends before byte 32768, and the first partition. In
this order: primary volume descriptor, boot record, terminator, boot catalog, path tables, root directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.iso.descriptors import BLOCK, MAX_BLOCKS, SYSTEM_AREA_BLOCKS, Volume, primary_descriptor, terminator
from tools.iso.directory import SELF, File, directory_record, path_table, root_directory
from tools.iso.el_torito import boot_catalog, el_torito_record
from tools.iso.names import file_identifiers, is_label

STRUCTURES_BEGIN = SYSTEM_AREA_BLOCKS * BLOCK
"""Where the structures begin, in bytes; the partition table has to end before."""

_CATALOG = SYSTEM_AREA_BLOCKS + 3
_LITTLE_PATH_TABLE = _CATALOG + 1
_BIG_PATH_TABLE = _CATALOG + 2
_ROOT = _CATALOG + 3


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of a disk.

    Attributes:
        name: of the partition; of a file, after changes to what ISO 9660 allows.
        offset: in bytes.
        size: in bytes.
    """

    name: str
    offset: int
    size: int


def hybrid_image(disk: Image, parts: Sequence[Part], boot: Part, label: str) -> Image:
    """Returns a disk with the structures of an ISO image; reads no data but what is before the first partition.

    Args:
        disk: the disk.
        parts: its partitions.
        boot: the one to boot from, an EFI system partition.
        label: volume identifier.

    Raises:
        UserError: the label is not one, the size of the disk or the start of a partition is not one of a CD-ROM, or
            there is no free space before the first partition.
    """
    _check_label(label)
    _check_places(disk, parts)
    structures = _structures(disk.size // BLOCK, parts, boot, label)
    end = STRUCTURES_BEGIN + len(structures)
    _check_free(disk, parts, end)
    extents = [
        *disk.overlapping(0, STRUCTURES_BEGIN),
        Extent(STRUCTURES_BEGIN, len(structures), Data(structures)),
        *disk.overlapping(end, disk.size),
    ]
    return Image(disk.size, extents)


def _structures(blocks: int, parts: Sequence[Part], boot: Part, label: str) -> bytes:
    """Returns all structures, from the primary volume descriptor on.

    Args:
        blocks: size of the disk.
        parts: see `hybrid_image`.
        boot: the same.
        label: the same.
    """
    identifiers = file_identifiers([part.name for part in parts])
    files = [
        File(identifier, part.offset // BLOCK, part.size) for identifier, part in zip(identifiers, parts, strict=True)
    ]
    root = root_directory(_ROOT, files)
    little, big = (path_table(_ROOT, order) for order in "<>")
    volume = Volume(
        label=label,
        blocks=blocks,
        path_table_size=len(little),
        little_path_table=_LITTLE_PATH_TABLE,
        big_path_table=_BIG_PATH_TABLE,
        root=directory_record(_ROOT, len(root), SELF),
    )
    descriptors = primary_descriptor(volume) + el_torito_record(_CATALOG) + terminator()
    path_tables = little.ljust(BLOCK, b"\0") + big.ljust(BLOCK, b"\0")
    return descriptors + boot_catalog(boot.offset // BLOCK, boot.size) + path_tables + root


def _check_label(label: str) -> None:
    if not is_label(label):
        raise UserError(f"the label {label!r} is not one of an ISO image: 1 to 32 characters A-Z, 0-9 and _")


def _check_places(disk: Image, parts: Sequence[Part]) -> None:
    if disk.size % BLOCK or disk.size // BLOCK > MAX_BLOCKS:
        raise UserError(
            f"the disk has {disk.size} bytes; an ISO image has 1 to {MAX_BLOCKS} blocks of {BLOCK} bytes, so give the "
            "disk another size"
        )
    for part in parts:
        if part.offset % BLOCK:
            raise UserError(
                f"partition {part.name} begins at byte {part.offset}, and a file of an ISO image at a multiple of "
                f"{BLOCK}; give the partition such a start"
            )


def _check_free(disk: Image, parts: Sequence[Part], end: int) -> None:
    first = min(parts, key=lambda part: part.offset)
    if first.offset < end:
        raise UserError(
            f"partition {first.name} begins at byte {first.offset}, and the structures of the ISO image end at {end}; "
            "give the partition a later start, such as 1 MiB"
        )
    used = disk.read(STRUCTURES_BEGIN, end - STRUCTURES_BEGIN)
    place = len(used) - len(used.lstrip(b"\0"))
    if place < len(used):
        raise UserError(
            f"the disk has data at byte {STRUCTURES_BEGIN + place}, before the first partition, where the structures "
            f"of the ISO image are to be, from {STRUCTURES_BEGIN} to {end}; leave that free"
        )
