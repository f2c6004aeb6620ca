"""Hashes the blocks of an image for dm-verity, and reads only the pieces of it that were not hashed before."""

from __future__ import annotations

from dataclasses import replace

from tools.image.extents import Image
from tools.image.rawfile import Progress, no_progress
from tools.pieces.piece_digests import PIECE_SIZE, PieceDigests
from tools.verity.digests import DIGEST_SIZE, block_digests
from tools.verity.superblock import Superblock
from tools.verity.tree import HashTree, hash_tree, hash_tree_size

_MOST = 32 << 20


class HashStore:
    """The digests of blocks, by the digests of the pieces that have them. With the usual blocks, 8 KiB for each MiB."""

    def __init__(self, most: int = _MOST) -> None:
        """Makes an empty store.

        Args:
            most: bytes of digests that it has; if there were more, the store begins anew.
        """
        self._most = most
        self._size = 0
        self._kept: dict[tuple[bytes, int, bytes], bytes] = {}

    def digests(self, piece: Image, digest: bytes, block_size: int, salt: bytes, progress: Progress) -> bytes:
        """Returns the digests of a piece's blocks, as `block_digests` computes them.

        Args:
            piece: its content, read only if it isn't known.
            digest: SHA-256 of the content.
            block_size: see `block_digests`.
            salt: see `block_digests`.
            progress: called with the number of bytes of data that were read.
        """
        key = (digest, block_size, salt)
        found = self._kept.get(key)
        if found is None:
            made = block_digests(piece, block_size, salt, progress)
            found = made.read(0, made.size)
            if self._size + len(found) > self._most:
                self._kept.clear()
                self._size = 0
            self._kept[key] = found
            self._size += len(found)
        return found


def hash_tree_by_digests(
    data: Image, digests: PieceDigests, parameters: Superblock, store: HashStore, progress: Progress = no_progress
) -> HashTree:
    """Returns what `hash_tree` does.

    Args:
        data: the image, of `parameters.data_size` bytes.
        digests: of its pieces.
        parameters: parameters of the tree.
        store: has digests of blocks that were computed before, and takes new ones.
        progress: called with the number of bytes of the data read since the last call.
    """
    return _tree_over(_leaves(data, digests, parameters, store, progress), parameters)


def _leaves(data: Image, digests: PieceDigests, parameters: Superblock, store: HashStore, progress: Progress) -> Image:
    """Returns the digests of all blocks of data."""
    block_size, salt = parameters.data_block_size, parameters.salt
    parts: list[tuple[int, Image]] = []
    done = 0

    def hash_hole(end: int) -> None:
        if done < end:
            parts.append((done, block_digests(data.slice(done, end - done), block_size, salt)))

    for number in sorted(digests.pieces):
        begin = number * PIECE_SIZE
        hash_hole(begin)
        done = min(begin + PIECE_SIZE, data.size)
        piece = data.slice(begin, done - begin)
        known = store.digests(piece, digests.pieces[number], block_size, salt, progress)
        parts.append((begin, Image.from_bytes(known)))
    hash_hole(data.size)
    size = data.size // block_size * DIGEST_SIZE
    return Image.compose(size, ((offset // block_size * DIGEST_SIZE, image) for offset, image in parts))


def _tree_over(leaves: Image, parameters: Superblock) -> HashTree:
    """Returns the tree whose lowest level has these digests. The levels above are the tree over that level as data."""
    size = hash_tree_size(parameters)
    start = Image.from_bytes(parameters.encode())
    if leaves.size == DIGEST_SIZE:
        return HashTree(leaves.read(0, DIGEST_SIZE), Image.compose(size, [(0, start)]), parameters)
    block = parameters.hash_block_size
    lowest = leaves.resized(-(-leaves.size // block) * block)
    above = hash_tree(lowest, replace(parameters, data_size=lowest.size, data_block_size=block))
    levels = above.image.slice(block, above.image.size - block)
    image = Image.compose(size, [(0, start), (block, levels), (size - lowest.size, lowest)])
    return HashTree(above.root_hash, image, parameters)
