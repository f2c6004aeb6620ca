"""A small disk with a FAT and an ext4, EROFS or SquashFS file system, for tests of commands that inspect images."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tools.erofs.options import ErofsOptions
from tools.erofs.writer import write_erofs
from tools.ext4.options import Ext4Options
from tools.ext4.writer import write_ext4
from tools.fat.writer import Options, fat_image
from tools.gpt.table import Entry, Table, encode
from tools.gpt.types import LINUX_FILESYSTEM
from tools.image.extents import Image
from tools.squashfs.options import SquashfsOptions
from tools.squashfs.writer import write_squashfs
from tools.testing.small_trees import layer
from tools.tree.node import Directory

MIB = 1 << 20
ROOT = ("etc/", "etc/hosts = localhost", "lib -> usr/lib", "tmp/ 1777", "usr/lib/x = library")


def root_tree(*lines: str) -> Directory:
    """Returns the tree of the root partition, from lines as in `small_trees.layer`; by default ROOT."""
    return layer("test", *(lines or ROOT)).root


def ext4(root: Directory, **changes: object) -> Image:
    """Returns an ext4 file system of 4 MiB with a tree."""
    return write_ext4(root, replace(Ext4Options(size=4 * MIB, uuid=UUID(int=1)), **changes))  # type: ignore[arg-type]


def erofs(root: Directory, label: str = "") -> Image:
    """Returns an EROFS file system of 4 MiB with a tree."""
    return write_erofs(root, ErofsOptions(uuid=UUID(int=1), label=label, size=4 * MIB))


def squashfs(root: Directory, **options: object) -> Image:
    """Returns a SquashFS file system with a tree."""
    return write_squashfs(root, SquashfsOptions(**options))  # type: ignore[arg-type]


def fat(root: Directory, volume_id: int = 1) -> Image:
    """Returns a FAT file system of 2 MiB with a tree."""
    return fat_image(root, Options(size=2 * MIB, volume_id=volume_id))


def disk(
    esp: Image, root: Image, *, name: str = "A_root", data: Image | None = None, esp_type: UUID = LINUX_FILESYSTEM
) -> Image:
    """Returns a disk with the partitions `esp`, `name` and `empty`; the last one contains `data`."""
    entries = []
    parts: list[tuple[int, Image]] = []
    offset = MIB
    for number, (label, image) in enumerate((("esp", esp), (name, root), ("empty", data or Image(MIB))), 1):
        kind = esp_type if label == "esp" else LINUX_FILESYSTEM
        entries.append(
            Entry(number=number, name=label, offset=offset, size=image.size, type=kind, uuid=UUID(int=number))
        )
        parts.append((offset, image))
        offset += image.size
    table = encode(Table(disk_guid=UUID(int=99), disk_size=offset + MIB, entries=tuple(entries)))
    return Image.compose(table.size, [(0, table), *parts])
