"""Finds what has its data at a byte of an image: a partition, a file, or a structure of a format."""

from __future__ import annotations

from collections.abc import Iterator

from tools.core.errors import UserError
from tools.core.text import escaped
from tools.gpt.reader import read_table
from tools.image.extents import Extent, FileRange, Image
from tools.inspect.volumes import is_disk, kind_of, read_file_system
from tools.squashfs.blocks import StoredBlocks, StoredEnd
from tools.tree.compare import printable
from tools.tree.node import Directory, File, walk
from tools.verity.superblock import Superblock
from tools.verity.tree import hash_tree_size, read_superblock


def locate(image: Image, offset: int, origin: str) -> Iterator[str]:
    """Yields a line for each level that a byte belongs to, from the whole image down to a file.

    Args:
        image: of a disk or a file system, opened from a file; a byte belongs to each level that has its place in the
            file.
        offset: of the byte, from the start of the image.
        origin: what to call the image in messages.

    Raises:
        UserError: there is no such byte, or something in the image is damaged.
    """
    if not 0 <= offset < image.size:
        raise UserError(f"{origin}: has no byte {offset}; its bytes are 0 to {image.size - 1}")
    yield f"image: byte {offset} of {image.size}, {'data' if _extent_at(image, offset) else 'in a hole (reads as 0)'}"
    if not is_disk(image):
        yield from _in_volume(image, offset, origin)
        return
    table = read_table(image, origin)
    for entry in table.entries:
        inside = offset - entry.offset
        if 0 <= inside < entry.size:
            yield f"partition {entry.number} ({escaped(entry.name)}): byte {inside} of {entry.size}"
            yield from _in_volume(image.slice(entry.offset, entry.size), inside, f"{origin}: partition {entry.name}")
            return
    begin, end = table.usable
    yield "between partitions" if begin <= offset < end else "partition table"


def _extent_at(image: Image, offset: int) -> Extent | None:
    """Returns the one byte of an image at an offset as an extent; None in a hole."""
    return next(image.overlapping(offset, offset + 1), None)


def _in_volume(volume: Image, offset: int, origin: str) -> Iterator[str]:
    if kind_of(volume) is None:
        yield "no file system"
        return
    file_system = read_file_system(volume, origin)
    if offset >= file_system.size:
        yield _behind_file_system(volume, offset, file_system.size)
        return
    byte = _extent_at(volume, offset)
    if byte is None:
        yield f"{file_system.kind}: no file has data there"
    elif file_system.kind == "SquashFS":
        yield f"SquashFS: {_in_squashfs(file_system.root, offset)}"
    elif found := _file_at(file_system.root, byte, 1 if file_system.packs_tails else file_system.block_size):
        path, inside, length = found
        if inside < length:
            yield f"{file_system.kind}: {printable(path)}, byte {inside} of {length}"
        else:
            yield f"{file_system.kind}: unused rest of the last block of {printable(path)}"
    else:
        yield f"{file_system.kind}: metadata of the file system, such as a table, a directory or the journal"


def _in_squashfs(root: Directory, offset: int) -> str:
    """Describes what SquashFS has at a byte: a block of one file, or one with the ends of several."""
    files = ((path, node) for path, node in walk(root) if isinstance(node, File))
    found = {node: (path, part) for path, node in files if (part := _part(node, offset))}
    if not found:
        return "metadata of the file system, such as inodes or directories"
    (file, (path, (begin, end))), *others = found.items()
    text = f"a block with bytes {begin} to {end - 1} of {file.content.size} of {printable(path)}"
    return f"{text}, and with {len(others)} other files" if others else text


def _part(file: File, offset: int) -> tuple[int, int] | None:
    """Returns begin and end of the part of a file that is in the block at a byte; None if none is."""
    for extent in file.content.extents:
        if isinstance(extent.source, StoredBlocks | StoredEnd) and (part := extent.source.range_at(offset)):
            return extent.offset + part[0], extent.offset + min(part[1], extent.length)
    return None


def _behind_file_system(volume: Image, offset: int, size: int) -> str:
    parameters = _verity(volume, size)
    inside = offset - size
    if parameters is not None and inside < (length := hash_tree_size(parameters)):
        return f"dm-verity: hash tree of the file system, byte {inside} of {length}"
    return "behind the file system: unused"


def _verity(volume: Image, offset: int) -> Superblock | None:
    try:
        return read_superblock(volume, offset)
    except UserError:
        return None


def _file_at(root: Directory, byte: Extent, block_size: int) -> tuple[bytes, int, int] | None:
    """Returns path, offset and size of the file whose blocks include a byte; None if there is no such file.

    The offset is not less than the size if the byte is in the rest of the file's last block of `block_size` bytes.
    """
    if not isinstance(byte.source, FileRange):
        return None
    for path, node in walk(root):
        if not isinstance(node, File):
            continue
        for extent in node.content.extents:
            if isinstance(extent.source, FileRange) and extent.source.file is byte.source.file:
                inside = byte.source.start - extent.source.start
                rest = -extent.length % block_size if extent.end == node.content.size else 0
                if 0 <= inside < extent.length + rest:
                    return path, extent.offset + inside, node.content.size
    return None
