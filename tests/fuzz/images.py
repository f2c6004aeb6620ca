"""Fuzz targets for images: EROFS, ext4, FAT, SquashFS, GPT, dm-verity, recipes, and a disk as the commands see it."""

from __future__ import annotations

import functools
import random
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.fuzz.target import Target, mutated, number
from tools.core.errors import UserError
from tools.erofs.format import SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Compat
from tools.erofs.format import Superblock as ErofsSuperblock
from tools.erofs.options import ErofsOptions
from tools.erofs.reader import read_erofs
from tools.erofs.writer import write_erofs
from tools.ext4.format.superblock import Superblock as Ext4Superblock
from tools.ext4.options import Ext4Options
from tools.ext4.reader import read_ext4
from tools.ext4.writer import write_ext4
from tools.fat.reader import read_fat
from tools.fat.writer import Options, fat_image
from tools.gpt.reader import read_table
from tools.image.extents import Data, Extent, FileRange, Image, InputFile, Pattern
from tools.image.rawfile import open_raw, write_raw
from tools.image.recipe import recipe_of
from tools.image.recipe_format import FILE, HEADER, RANGE_SIZE
from tools.image.recipe_reader import open_recipe
from tools.inspect.listing import file_lines, nodes_below, partition_lines
from tools.squashfs.format import SUPERBLOCK_SIZE as SQUASHFS_SUPERBLOCK_SIZE
from tools.squashfs.format import Superblock as SquashfsSuperblock
from tools.squashfs.options import SquashfsOptions
from tools.squashfs.reader import read_squashfs
from tools.squashfs.writer import write_squashfs
from tools.testing.sample_disk import disk, root_tree
from tools.tree.node import Directory, Fifo, File, Symlink, walk
from tools.verity.superblock import Superblock
from tools.verity.tree import hash_tree, verify

MIB = 1 << 20
_BLOCK = 1024
_INODE = 256


def _tree() -> Directory:
    sparse = Image(100_000, [Extent(3000 * index, 5, Data(b"12345")) for index in range(20)])
    entries = {
        b"large": Directory(entries={b"%04d" % index: Fifo() for index in range(60)}),
        b"sparse": File(content=sparse, xattrs={b"user.long": b"v" * 300, b"security.selinux": b"label\0"}),
        b"file": File(content=Image.from_bytes(b"x" * 3000)),
        b"link": Symlink(target=b"t" * 100),
        b"short": Symlink(target=b"file"),
        b"dir": Directory(entries={b"dir": Directory(entries={b"a": File(content=Image.from_bytes(b"a"))})}),
    }
    return Directory(entries=entries)


@functools.cache
def _ext4(options: tuple[tuple[str, object], ...]) -> bytes:
    parameters = Ext4Options(size=MIB, uuid=UUID(int=1), block_size=_BLOCK, **dict(options))  # type: ignore[arg-type]
    image = write_ext4(_tree(), parameters)
    return bytes(image.read(0, image.size))


@functools.cache
def _used(data: bytes, size: int) -> Sequence[int]:
    """Returns the offsets of bytes in use, and of the beginning of blocks in use."""
    blocks = [at for at in range(size, len(data), size) if any(data[at : at + size])]
    return [*blocks, *(at for at in range(size, len(data)) if data[at])]


def make_ext4(chance: random.Random) -> bytes:
    """Returns a file system with changed fields of the superblock, and inodes and blocks copied over others."""
    options = chance.choice(((), (("inode_size", 128),), (("metadata_csum", True),)))
    original = _ext4(options)
    data = bytearray(original)
    if chance.random() < 0.5:
        table = struct.unpack_from("<I", data, 2 * _BLOCK + 8)[0] * _BLOCK
        size = 128 if options == (("inode_size", 128),) else _INODE
        for _ in range(chance.randint(1, 4)):
            target, source = (table + size * chance.randrange(84) for _ in range(2))
            data[target : target + size] = data[source : source + size]
            at = table + size * chance.randrange(84) + chance.randrange(0, 104, 2)
            data[at : at + 4] = struct.pack("<I", number(chance) & 0xFFFFFFFF)
    if chance.random() < 0.3:
        target, source = (_BLOCK * chance.randrange(2, 1024) for _ in range(2))
        data[target : target + _BLOCK] = data[source : source + _BLOCK]
    if chance.random() < 0.2:
        superblock = Ext4Superblock.parse(bytes(data[1024:2048]))
        name = chance.choice(("log_block_size", "blocks", "inodes", "inodes_per_group", "incompat", "ro_compat"))
        setattr(superblock, name, number(chance) & 0xFFFFFFFF)
        data[1024:2048] = superblock.pack()
    if chance.random() < 0.7:
        size = len(data)
        data = bytearray(mutated(chance, bytes(data), _used(original, _BLOCK), most=4)[:size].ljust(size, b"\0"))
    return bytes(data)


def _read_all(root: Directory) -> None:
    """Lists the files of a tree, and reads those that are small."""
    for _ in file_lines(nodes_below(root, b"")):
        pass
    for _, node in walk(root):
        if isinstance(node, File) and node.content.size <= MIB:
            node.content.read(0, node.content.size)


def read_ext4_file(path: Path) -> None:
    """Reads a file system, and the contents of its files."""
    _read_all(read_ext4(open_raw(path), path.name).root)


@functools.cache
def _erofs() -> bytes:
    root = _tree()
    for index in range(3):
        xattrs = {b"user.%d" % number: b"v" * 30 for number in range(20 * index)}
        root.entries[b"shared-%d" % index] = Fifo(xattrs=xattrs)
    root.entries[b"holes"] = File(content=Image(MIB, [Extent(100_000, 5, Data(b"12345"))]))
    image = write_erofs(root, ErofsOptions(uuid=UUID(int=1)))
    return bytes(image.read(0, image.size))


def make_erofs(chance: random.Random) -> bytes:
    """Returns a file system with changed fields of the superblock and inodes, and pieces copied over others."""
    original = _erofs()
    superblock = ErofsSuperblock.parse(original[SUPERBLOCK_OFFSET : SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE])
    assert superblock is not None
    changes: dict[str, Any] = {"feature_compat": superblock.feature_compat & ~Compat.SB_CHKSUM}
    if chance.random() < 0.1:
        name = chance.choice(("block_bits", "root_nid", "blocks", "metadata_block", "xattr_block", "feature_incompat"))
        limit = {"block_bits": 0xFF, "root_nid": 0xFFFF}.get(name, 0xFFFFFFFF)
        changes[name] = number(chance) & limit
    data = bytearray(original)
    data[SUPERBLOCK_OFFSET : SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE] = replace(superblock, **changes).pack()
    places = _used(original, 4096)
    for _ in range(chance.randint(0, 4)):
        size = chance.choice((4, 12, 32, 64, 512, 4096))
        target, source = (chance.choice(places) // 4 * 4 for _ in range(2))
        data[target : target + size] = data[source : source + size]
    for _ in range(chance.randint(0, 3)):
        at = chance.choice(places) // 32 * 32 + chance.choice((0, 2, 4, 8, 12, 16, 20))
        field = struct.pack("<I", number(chance) & 0xFFFFFFFF)[: chance.choice((1, 2, 4))]
        data[at : at + len(field)] = field
    if chance.random() < 0.5:
        data = bytearray(mutated(chance, bytes(data), places, most=4))
    return bytes(data[: len(original)].ljust(len(original), b"\0"))


def read_erofs_file(path: Path) -> None:
    """Reads a file system, and the contents of its files."""
    _read_all(read_erofs(open_raw(path), path.name).root)


@functools.cache
def _squashfs(compression: str) -> bytes:
    root = _tree()
    for index in range(3):
        xattrs = {b"user.%d" % number: b"v" * 30 for number in range(20 * index)}
        root.entries[b"attributes-%d" % index] = Fifo(xattrs=xattrs)
    root.entries[b"blocks"] = File(content=Image.from_bytes(b"".join(b"%05d" % number for number in range(5000))))
    image = write_squashfs(
        root, SquashfsOptions(compression=compression, level=int(compression != "none"), block_size=4096)
    )
    return bytes(image.read(0, image.size))


def make_squashfs(chance: random.Random) -> bytes:
    """Returns a file system with changed fields of the superblock and the metadata, and pieces copied over others.

    Metadata that isn't compressed is changed field by field; of what is compressed, the decoders see the damage.
    """
    original = _squashfs(chance.choice(("none", "none", "none", "gzip", "zstd")))
    superblock = SquashfsSuperblock.parse(original[:SQUASHFS_SUPERBLOCK_SIZE])
    assert superblock is not None
    data = bytearray(original)
    if chance.random() < 0.1:
        name = chance.choice([field.name for field in fields(superblock)])
        width = {"compression": 16, "flags": 16, "ids": 16}.get(name, 64 if name.endswith("table") else 32)
        value = 1 << chance.randint(12, 20) if name == "block_size" else number(chance) & (1 << width) - 1
        data[:SQUASHFS_SUPERBLOCK_SIZE] = replace(superblock, **{name: value}).pack()
    places = range(superblock.inode_table, superblock.bytes_used)
    for _ in range(chance.randint(0, 1)):
        size = chance.choice((1, 2, 4, 12, 20, 32, 512))
        target, source = chance.choice(places), chance.choice(places)
        data[target : target + size] = data[source : source + size]
    for _ in range(chance.randint(0, 2)):
        at = chance.choice(places)
        field = struct.pack("<I", number(chance) & 0xFFFFFFFF)[: chance.choice((1, 2, 4))]
        data[at : at + len(field)] = field
    if chance.random() < 0.2:
        data = bytearray(mutated(chance, bytes(data), range(superblock.bytes_used), most=4))
    return bytes(data[: len(original)].ljust(len(original), b"\0"))


def read_squashfs_file(path: Path) -> None:
    """Reads a file system, and the contents of its files."""
    _read_all(read_squashfs(open_raw(path), path.name).root)


@functools.cache
def _fat(bits: int) -> bytes:
    size = {12: MIB, 16: 16 * MIB, 32: 40 * MIB}[bits]
    tree = root_tree("EFI/", "EFI/BOOT/", "EFI/BOOT/x.efi = shim", "a-long-name-of-a-file.text = x", "empty =")
    tree.entries[b"file"] = File(content=Image.from_bytes(b"x" * 9000))
    image = fat_image(tree, Options(size=size, volume_id=1, label="LABEL"))
    return bytes(image.read(0, image.size))


def make_fat(chance: random.Random) -> bytes:
    """Returns a FAT file system."""
    data = _fat(16 if chance.random() < 0.02 else 12)
    if chance.random() < 0.3:
        at = chance.choice((11, 13, 14, 16, 17, 19, 22, 32, 36, 44, 48, 510))
        field = struct.pack("<I", number(chance) & 0xFFFFFFFF)[: chance.choice((1, 2, 4))]
        data = data[:at] + field + data[at + len(field) :]
    changed = mutated(chance, data, _used(data, 512), most=6)
    return changed[: len(data)].ljust(len(data), b"\0") if chance.random() < 0.9 else changed


def read_fat_file(path: Path) -> None:
    """Reads a file system, and the contents of its files."""
    _read_all(read_fat(open_raw(path), path.name).root)


@functools.cache
def _disk() -> bytes:
    small = Image(MIB, [Extent(0, 512, Data(b"x" * 512))])
    image = disk(small, small)
    return bytes(image.read(0, image.size))


def make_gpt(chance: random.Random) -> bytes:
    """Returns a disk; in most cases with checksums that match the changes, and the same changes in both tables."""
    data = bytearray(_disk())
    places = [(512, chance.randrange(8, 92)) for _ in range(chance.randint(0, 2))]
    places += [(1024, chance.randrange(0, 128 * 4)) for _ in range(chance.randint(0, 4))]
    for base, at in places:
        field = struct.pack(chance.choice(("<I", "<Q", "<B")), number(chance) & 0xFF)
        field = chance.choice((field, struct.pack("<Q", number(chance) & (1 << 64) - 1)))
        data[base + at : base + at + len(field)] = field
        if base == 1024:
            backup = len(data) - 33 * 512
            data[backup + at : backup + at + len(field)] = field
    if chance.random() < 0.9:
        for own, entries in ((512, 1024), (len(data) - 512, len(data) - 33 * 512)):
            struct.pack_into("<I", data, own + 88, zlib.crc32(data[entries : entries + 128 * 128]))
            struct.pack_into("<I", data, own + 16, 0)
            struct.pack_into("<I", data, own + 16, zlib.crc32(data[own : own + 92]))
    return mutated(chance, bytes(data), range(2048), most=2) if chance.random() < 0.2 else bytes(data)


def read_gpt(path: Path) -> None:
    """Lists the partitions of a disk."""
    image = open_raw(path)
    table = read_table(image, path.name)
    for entry in table.entries:
        image.slice(entry.offset, entry.size)
    for _ in partition_lines(image, path.name):
        pass


@functools.cache
def _verity() -> tuple[bytes, bytes]:
    data = Image.from_bytes(b"data" * (300 * 1024))
    data = data.slice(0, data.size // 4096 * 4096)
    tree = hash_tree(data, Superblock(data_size=data.size, salt=b"salt", uuid=UUID(int=2)))
    hashes = tree.image
    return bytes(data.read(0, data.size)) + bytes(hashes.read(0, hashes.size)), tree.root_hash


def make_verity(chance: random.Random) -> bytes:
    """Returns data with its hash tree."""
    data = _verity()[0]
    start = 4096 * 300
    return mutated(chance, data, range(start, min(start + 512, len(data))), most=chance.choice((1, 3)))


def read_verity(path: Path) -> None:
    """Verifies data by its hash tree; what is accepted must be unchanged."""
    expected, root_hash = _verity()
    image = open_raw(path)
    verify(image, image, root_hash, hash_offset=4096 * 300)
    if image.read(0, 4096 * 300) != expected[: 4096 * 300]:
        raise AssertionError("changed data was accepted")


_CONTENT = b"content" * 1000


@functools.cache
def _recipe() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = InputFile(f"{folder}/file")
        Path(file.path).write_bytes(_CONTENT)
        ranges = [Extent(10_000 * n, 700 * (n + 1), FileRange(file, n)) for n in range(6)]
        others = [Extent(MIB, 5000, Data(b"table" * 1000)), Extent(2 * MIB, MIB, Pattern(b"digest", 1))]
        write_raw(recipe_of(Image(4 * MIB, [*ranges, *others]), [file.path]), f"{folder}/recipe")
        return Path(folder, "recipe").read_bytes()


def make_recipe(chance: random.Random) -> bytes:
    """Returns a recipe of an image with ranges of one file."""
    return mutated(chance, _recipe(), range(HEADER.size + FILE.size + 8 * RANGE_SIZE), most=chance.choice((1, 3)))


def read_recipe(path: Path) -> None:
    """Reads the start of the image and each of its extents."""
    file = path.with_name("file")
    file.write_bytes(_CONTENT)
    image = open_recipe(path, [file])
    image.read(0, min(image.size, 4 * MIB))
    for extent in image.extents:
        extent.source.read(0, min(extent.length, MIB))


def _target(make: Callable[[random.Random], bytes], read: Callable[[Path], None]) -> Target:
    return Target(make, read, (UserError,))


TARGETS = {
    "erofs": _target(make_erofs, read_erofs_file),
    "ext4": _target(make_ext4, read_ext4_file),
    "fat": _target(make_fat, read_fat_file),
    "gpt": _target(make_gpt, read_gpt),
    "recipe": _target(make_recipe, read_recipe),
    "squashfs": _target(make_squashfs, read_squashfs_file),
    "verity": _target(make_verity, read_verity),
}
