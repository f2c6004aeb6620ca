"""What is inside of images, read without mounting: members of a tar, partitions of a disk, files of a file system."""

from __future__ import annotations

import os
import struct
from dataclasses import asdict, dataclass
from uuid import UUID

from tools.core.errors import UserError
from tools.erofs.format import MAGIC, SUPERBLOCK_OFFSET
from tools.erofs.format import Superblock as ErofsSuperblock
from tools.erofs.reader import read_erofs
from tools.ext4.format.superblock import Superblock as Ext4Superblock
from tools.ext4.reader import read_ext4
from tools.fat.reader import FatVolume, read_fat
from tools.gpt.reader import read_table
from tools.gpt.table import SECTOR_SIZES, SIGNATURE
from tools.image.extents import Image
from tools.squashfs.format import MAGIC as SQUASHFS_MAGIC
from tools.squashfs.format import SUPERBLOCK_SIZE
from tools.squashfs.format import Superblock as SquashfsSuperblock
from tools.squashfs.reader import read_squashfs
from tools.tar.image_file import open_image, open_member
from tools.tree.node import Directory

_SQUASHFS_MAGIC = (0, struct.pack("<I", SQUASHFS_MAGIC))
_EROFS_MAGIC = (SUPERBLOCK_OFFSET, struct.pack("<I", MAGIC))
_EXT4_MAGIC = (1024 + 56, struct.pack("<H", 0xEF53))  # Documentation/filesystems/ext4: s_magic of the superblock
_LEAST_BLOCK_SIZE = 1024  # the same: s_log_block_size is relative to it
_FAT_SIGNATURE = (510, b"\x55\xaa")  # Microsoft FAT specification, 3.1: Signature_word


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system that was read.

    Attributes:
        kind: `EROFS`, `ext4`, `FAT12`, `FAT16`, `FAT32` or `SquashFS`.
        size: in bytes; its partition can be larger.
        block_size: in bytes, the unit in which files take space; of FAT, the size of a cluster.
        parameters: of its superblock or boot sector, by name, as text.
        root: its files; their contents are ranges of the image, or are decompressed from some.
        packs_tails: whether the end of a file can share its block with something else.
        stored: number of bytes that the contents of files take, if they are compressed; else None.
    """

    kind: str
    size: int
    block_size: int
    parameters: dict[str, str]
    root: Directory
    packs_tails: bool = False
    stored: int | None = None


def open_partition(path: str | os.PathLike[str], partition: str | None = None, member: str | None = None) -> Image:
    """Returns the image in a file, or a partition of it where it is the image of a disk.

    Args:
        path: of a raw image, or of a tar.
        partition: name of the partition, or its number from 1 on; None for the whole image.
        member: name of the image in a tar; None where it is the only one, and for raw images.

    Raises:
        UserError: the file can't be read, has no such member, is no disk, or has no such partition.
    """
    image = open_image(path) if member is None else open_member(path, member)
    if partition is None:
        return image
    table = read_table(image, os.fspath(path))
    for entry in table.entries:
        if partition in (entry.name, str(entry.number)):
            return image.slice(entry.offset, entry.size)
    names = ", ".join(entry.name for entry in table.entries)
    raise UserError(f"{os.fspath(path)}: has no partition {partition}; it has {names or 'none'}")


def is_disk(image: Image) -> bool:
    """Returns whether an image has a GUID partition table."""
    return any(_has(image, sector, SIGNATURE) for sector in SECTOR_SIZES)


def kind_of(image: Image) -> str | None:
    """Returns `EROFS`, `ext4`, `FAT` or `SquashFS`, None for anything else, by the first bytes alone."""
    if _has(image, *_SQUASHFS_MAGIC):
        return "SquashFS"
    if _has(image, *_EROFS_MAGIC):
        return "EROFS"
    if _has(image, *_EXT4_MAGIC):
        return "ext4"
    if _has(image, *_FAT_SIGNATURE) and not is_disk(image):
        return "FAT"
    return None


def read_file_system(image: Image, origin: str) -> FileSystem:
    """Returns the file system of an image.

    Args:
        image: the file system, from its first byte on.
        origin: what to call it in messages.

    Raises:
        UserError: it is neither EROFS, ext4, FAT nor SquashFS, or is damaged.
    """
    match kind_of(image):
        case "SquashFS":
            return _squashfs(image, origin)
        case "EROFS":
            erofs = read_erofs(image, origin)
            block_size = erofs.superblock.block_size
            size = erofs.superblock.blocks * block_size
            parameters = _superblock_parameters(erofs.superblock)
            return FileSystem("EROFS", size, block_size, parameters, erofs.root, packs_tails=True)
        case "ext4":
            found = read_ext4(image, origin)
            block_size = _LEAST_BLOCK_SIZE << found.superblock.log_block_size
            size = found.superblock.blocks * block_size
            return FileSystem("ext4", size, block_size, _superblock_parameters(found.superblock), found.root)
        case "FAT":
            volume = read_fat(image, origin)
            size = volume.geometry.total_sectors * volume.geometry.sector_size
            kind = f"FAT{volume.geometry.bits}"
            return FileSystem(kind, size, volume.geometry.cluster_size, _fat_parameters(volume), volume.root)
    raise UserError(f"{origin}: is neither EROFS, ext4, FAT nor SquashFS; for a disk, say which partition")


def read_tree(image: Image, origin: str) -> Directory:
    """Returns the files of a file system; see `read_file_system`."""
    return read_file_system(image, origin).root


def _squashfs(image: Image, origin: str) -> FileSystem:
    found = read_squashfs(image, origin)
    superblock = found.superblock
    return FileSystem(
        "SquashFS",
        superblock.bytes_used,
        superblock.block_size,
        _superblock_parameters(superblock),
        found.root,
        packs_tails=True,
        stored=superblock.inode_table - SUPERBLOCK_SIZE,
    )


def _superblock_parameters(superblock: ErofsSuperblock | Ext4Superblock | SquashfsSuperblock) -> dict[str, str]:
    words = {}
    for name, value in asdict(superblock).items():
        if name in ("uuid", "hash_seed"):
            words[name] = str(UUID(bytes=value))
        elif name == "label":
            words[name] = value.partition(b"\0")[0].decode(errors="backslashreplace")
        else:
            words[name] = value.hex() if isinstance(value, bytes) else str(value)
    return words


def _fat_parameters(volume: FatVolume) -> dict[str, str]:
    words = {name: str(value) for name, value in asdict(volume.geometry).items()}
    return words | {"volume_id": f"{volume.volume_id:08X}", "label": volume.label}


def _has(image: Image, offset: int, magic: bytes) -> bool:
    return image.size >= offset + len(magic) and image.read(offset, len(magic)) == magic
