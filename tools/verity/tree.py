"""Computes and verifies dm-verity hash trees.

The lowest level of a tree has the digests of the data blocks, each further level the digests of the hash blocks of the
level below. The highest level has one block; its digest is the root hash. On disk the superblock is first, in its own
hash block, followed by the levels from the highest to the lowest. For data of one block there are no levels, and its
digest is the root hash.

See Linux Documentation/admin-guide/device-mapper/verity.rst, "Hash Tree" and "On-disk format".
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
    """A hash tree.

    Attributes:
        root_hash: digest of the highest level, 32 bytes.
        image: superblock and levels, a multiple of the hash block size. It may be placed at any multiple of the hash
            block size after the data, or on another device.
        superblock: parameters of the tree.
    """

    root_hash: bytes
    image: Image
    superblock: Superblock


@dataclass(frozen=True, slots=True)
class _Level:
    """Offset and size in bytes of a level in the image of a hash tree."""

    offset: int
    size: int


def hash_tree(data: Image, parameters: Superblock, progress: Progress = no_progress) -> HashTree:
    """Computes the hash tree of an image. Reads its data once; holes take no time.

    Args:
        data: the image, of `parameters.data_size` bytes.
        parameters: parameters of the tree.
        progress: called with the number of bytes of the data read since the last call.
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
    """Returns the size of superblock and levels in bytes, without computing hashes."""
    return max((place.offset + place.size for place in _levels(parameters)), default=parameters.hash_block_size)


def _levels(parameters: Superblock) -> list[_Level]:
    """Returns offset and size of the levels, from the highest to the lowest."""
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


def check_hash_offset(hash_offset: int, parameters: Superblock) -> None:
    """Checks that a hash tree can be at an offset, in bytes, of the device with the data.

    Raises:
        UserError: the offset is not a multiple of the hash block size, or is within the data.
    """
    if hash_offset % parameters.hash_block_size:
        raise UserError(
            f"hash offset {hash_offset} is not a multiple of the hash block size, {parameters.hash_block_size}"
        )
    if hash_offset < parameters.data_size:
        raise UserError(f"hash offset {hash_offset} is inside the data, which has {parameters.data_size} bytes")


def read_superblock(hashes: Image, hash_offset: int = 0) -> Superblock:
    """Reads the superblock at `hash_offset` bytes of an image.

    Raises:
        UserError: there is none, it is damaged, or the image ends before the tree.
    """
    if not 0 <= hash_offset <= hashes.size - superblock.SIZE:
        raise UserError(f"there is no dm-verity superblock at byte {hash_offset}: the image has {hashes.size} bytes")
    found = Superblock.decode(hashes.read(hash_offset, superblock.SIZE))
    needed = hash_offset + hash_tree_size(found)
    if hashes.size < needed:
        raise UserError(f"the dm-verity tree ends at byte {needed}, the image has {hashes.size} bytes; it is truncated")
    return found


def verify(
    data: Image, hashes: Image, root_hash: bytes, hash_offset: int = 0, progress: Progress = no_progress
) -> Superblock:
    """Verifies data against a hash tree, and the tree against a root hash; returns the tree's superblock.

    Args:
        data: image that starts with the data; may be longer, such as a partition with data and tree.
        hashes: image with superblock and tree.
        root_hash: expected root hash, 32 bytes.
        hash_offset: offset of the superblock in `hashes`, in bytes.
        progress: called with the number of bytes of the data read since the last call.

    Raises:
        CheckError: a block does not match; the message has the first one. The highest level is verified first, then the
            levels below it, then the data.
        UserError: there is no hash tree, or the data is shorter than the data of the tree.
    """
    found = read_superblock(hashes, hash_offset)
    if data.size < found.data_size:
        raise UserError(f"the data has {data.size} bytes, the dm-verity tree covers {found.data_size}; it is truncated")
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
    """Returns the number of the first block whose digest differs from that in the level above, or None.

    Raises:
        CheckError: the level above has non-zero bytes after the last digest.
    """
    difference = first_difference(digests.resized(trusted.size), trusted)
    if difference is not None and difference >= digests.size:
        raise CheckError("a level of the hash tree has bytes other than zero after its last digest")
    return None if difference is None else difference // DIGEST_SIZE
