"""Writes and checks dm-verity hash trees.

A tree's lowest level holds the digests of the data's blocks, each further level the digests of the blocks of the one
below it, until one block holds them all; the digest of that block is the root hash. On disk the superblock comes
first, in a hash block of its own, then the levels from the highest to the lowest. Data of one block has no tree: its
digest is the root hash.

Source of the format: the kernel's Documentation/admin-guide/device-mapper/verity.rst, "Hash Tree" and "On-disk format".
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.errors import CheckError, UserError
from tools.image.compare import first_difference
from tools.image.extents import Image
from tools.image.rawfile import Progress, no_progress
from tools.verity import superblock
from tools.verity.digests import DIGEST_SIZE, block_digests
from tools.verity.superblock import Superblock


@dataclass(frozen=True, slots=True)
class HashTree:
    """The hash tree over some data.

    Attributes:
        root_hash: 32 bytes that vouch for all of the data.
        image: superblock and tree, in whole hash blocks. It may be placed at any multiple of the hash block size
            after the data, or stand on a device of its own.
        superblock: what the tree was made with.
    """

    root_hash: bytes
    image: Image
    superblock: Superblock


@dataclass(frozen=True, slots=True)
class _Level:
    """Where a level stands in a hash tree's image, in bytes."""

    offset: int
    size: int


def hash_tree(data: Image, parameters: Superblock, progress: Progress = no_progress) -> HashTree:
    """Returns the hash tree over an image. Reads the image's data once; holes cost nothing.

    Args:
        data: of `parameters.data_size` bytes.
        parameters: what to make the tree with.
        progress: told how many bytes of the data were read.
    """
    block_size = parameters.hash_block_size
    level = block_digests(data, parameters.data_block_size, parameters.salt, progress)
    parts = [(0, Image.from_bytes(parameters.encode()))]
    places = _levels(parameters)
    for place in reversed(places):
        level = level.resized(place.size)
        parts.append((place.offset, level))
        level = block_digests(level, block_size, parameters.salt)
    return HashTree(level.read(0, DIGEST_SIZE), Image.compose(hash_tree_size(parameters), parts), parameters)


def hash_tree_size(parameters: Superblock) -> int:
    """Returns the size of superblock and tree in bytes; hashes nothing."""
    return max((place.offset + place.size for place in _levels(parameters)), default=parameters.hash_block_size)


def _levels(parameters: Superblock) -> list[_Level]:
    """Returns where the levels stand, from the highest to the lowest."""
    blocks = parameters.data_size // parameters.data_block_size
    sizes = []
    while blocks > 1:
        blocks = -(-blocks * DIGEST_SIZE // parameters.hash_block_size)
        sizes.append(blocks * parameters.hash_block_size)
    offset = parameters.hash_block_size
    levels = []
    for size in reversed(sizes):
        levels.append(_Level(offset, size))
        offset += size
    return levels


def protected(data: Image, tree: HashTree, hash_offset: int | None = None) -> Image:
    """Returns an image of data followed by its hash tree, as one partition holds them.

    Args:
        data: what the tree was made of.
        tree: its hash tree.
        hash_offset: where the superblock stands, in bytes; directly after the data if it is not given.

    Raises:
        UserError: the tree cannot stand there.
    """
    if hash_offset is None:
        hash_offset = -(-data.size // tree.superblock.hash_block_size) * tree.superblock.hash_block_size
    check_hash_offset(hash_offset, tree.superblock)
    return Image.compose(hash_offset + tree.image.size, [(0, data), (hash_offset, tree.image)])


def check_hash_offset(hash_offset: int, parameters: Superblock) -> None:
    """Raises UserError if a hash tree cannot stand at that offset, in bytes, of the device that has the data."""
    if hash_offset % parameters.hash_block_size:
        raise UserError(
            f"hash offset {hash_offset} is not a multiple of the hash block size, {parameters.hash_block_size}"
        )
    if hash_offset < parameters.data_size:
        raise UserError(f"hash offset {hash_offset} is inside the data, which has {parameters.data_size} bytes")


def read_superblock(hashes: Image, hash_offset: int = 0) -> Superblock:
    """Returns the superblock at `hash_offset` bytes of an image.

    Raises:
        UserError: there is none, it is damaged, or the image ends before its tree does.
    """
    if not 0 <= hash_offset <= hashes.size - superblock.SIZE:
        raise UserError(f"there is no dm-verity superblock at byte {hash_offset}: the image has {hashes.size} bytes")
    found = Superblock.decode(hashes.read(hash_offset, superblock.SIZE))
    needed = hash_offset + hash_tree_size(found)
    if hashes.size < needed:
        raise UserError(f"the dm-verity tree ends at byte {needed}, but the image has {hashes.size} bytes; it is cut")
    return found


def verify(
    data: Image, hashes: Image, root_hash: bytes, hash_offset: int = 0, progress: Progress = no_progress
) -> Superblock:
    """Checks data against a hash tree, and the tree against a root hash; returns the tree's superblock.

    Args:
        data: starts with the data; may be longer, such as a partition that has the tree as well.
        hashes: has the superblock and the tree.
        root_hash: 32 bytes.
        hash_offset: where the superblock stands in `hashes`, in bytes.
        progress: told how many bytes of the data were read.

    Raises:
        CheckError: something does not match; the message names the first block that does not, in the order of trust:
            the highest level of the tree, the levels below it, the data.
        UserError: there is no hash tree, or the data is shorter than what the tree is over.
    """
    found = read_superblock(hashes, hash_offset)
    if data.size < found.data_size:
        raise UserError(f"the data has {data.size} bytes, the dm-verity tree is over {found.data_size}; it is cut")
    if len(root_hash) != DIGEST_SIZE:
        raise UserError(f"the root hash has {len(root_hash)} bytes, a SHA-256 digest has {DIGEST_SIZE}")
    places = _levels(found)
    trusted = Image.from_bytes(root_hash)
    for place, number in zip(places, range(len(places) - 1, -1, -1), strict=True):
        offset = hash_offset + place.offset
        level = hashes.slice(offset, place.size)
        bad = _first_bad_block(block_digests(level, found.hash_block_size, found.salt), trusted)
        if bad is not None:
            where = f"hash block {bad} of level {number}, at byte {offset + bad * found.hash_block_size}"
            raise CheckError(
                f"{where}, does not match the {'level above' if trusted.size > DIGEST_SIZE else 'root hash'}"
            )
        trusted = level
    digests = block_digests(data.slice(0, found.data_size), found.data_block_size, found.salt, progress)
    bad = _first_bad_block(digests, trusted)
    if bad is not None:
        raise CheckError(f"data block {bad}, at byte {bad * found.data_block_size}, does not match the hash tree")
    return found


def _first_bad_block(digests: Image, trusted: Image) -> int | None:
    """Returns the number of the first block whose digest is not the one that the level above has, None if all have.

    Raises:
        CheckError: the level above has bytes after the last digest.
    """
    difference = first_difference(digests.resized(trusted.size), trusted)
    if difference is not None and difference >= digests.size:
        raise CheckError("a level of the hash tree has bytes other than zero after its last digest")
    return None if difference is None else difference // DIGEST_SIZE
