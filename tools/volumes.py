"""File systems inside images, read without mounting: of a partition's image, or of a partition of a disk's image."""

from __future__ import annotations

import os
import struct

from tools.errors import UserError
from tools.ext4.reader import read_ext4
from tools.fat.reader import read_fat
from tools.gpt.reader import read_table
from tools.image.extents import Image
from tools.image.reading import open_image
from tools.tree.node import Directory

_EXT4_MAGIC = (1024 + 56, struct.pack("<H", 0xEF53))  # Documentation/filesystems/ext4: s_magic of the superblock
_FAT_SIGNATURE = (510, b"\x55\xaa")  # Microsoft FAT specification, 3.1: Signature_word


def open_partition(path: str | os.PathLike[str], partition: str | None = None) -> Image:
    """Returns the image in a file, or a partition of it where it is the image of a disk.

    Args:
        path: of a raw image, or of a tar whose one member it is.
        partition: name of the partition, or its number from 1 on; None for the whole image.

    Raises:
        UserError: the file can't be read, is no disk, or has no such partition.
    """
    image = open_image(path)
    if partition is None:
        return image
    table = read_table(image, os.fspath(path))
    for entry in table.entries:
        if partition in (entry.name, str(entry.number)):
            return image.slice(entry.offset, entry.size)
    names = ", ".join(entry.name for entry in table.entries)
    raise UserError(f"{os.fspath(path)}: has no partition {partition}; it has {names or 'none'}")


def read_tree(image: Image, origin: str) -> Directory:
    """Returns the files of a file system; their contents are ranges of the image.

    Args:
        image: the file system, from its first byte on.
        origin: what to call it in messages.

    Raises:
        UserError: it is neither ext4 nor FAT, or is damaged.
    """
    if _has(image, *_EXT4_MAGIC):
        return read_ext4(image, origin).root
    if _has(image, *_FAT_SIGNATURE):
        return read_fat(image, origin).root
    raise UserError(f"{origin}: is neither ext4 nor FAT; for a disk, say which partition")


def _has(image: Image, offset: int, magic: bytes) -> bool:
    return image.size >= offset + len(magic) and image.read(offset, len(magic)) == magic
