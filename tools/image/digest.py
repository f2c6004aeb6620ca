"""SHA-256 of images: of all their bytes, and of each piece of a fixed size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tools.core.parallel import ordered_map
from tools.image.extents import Image
from tools.image.stream import Piece, buffers, pieces

PIECE_SIZE = 1 << 20
"""The pieces of an image that have a hash of their own, in bytes; the last one is what is left."""


def sha256(image: Image) -> bytes:
    """Returns the SHA-256 of an image's bytes, holes included: that of the raw file that `write_raw` makes of it.

    Costs a hash of every byte of the image, since there is no short way to the hash of zeros.
    """
    digest = hashlib.sha256()
    for data in buffers(image):
        digest.update(data)
    return digest.digest()


def piece_digests(image: Image, piece_size: int = PIECE_SIZE, threads: int | None = None) -> Iterator[bytes]:
    """Yields the SHA-256 of each piece of an image in order; those that lie in holes cost nothing.

    Args:
        image: what to hash.
        piece_size: in bytes; the last piece is shorter where the size isn't a multiple of it.
        threads: how many work at once; the result is the same.
    """
    zeros = hashlib.sha256(bytes(piece_size)).digest()

    def digest(piece: Piece) -> bytes:
        if piece.data is not None:
            return hashlib.sha256(piece.data).digest()
        return zeros if piece.length == piece_size else hashlib.sha256(bytes(piece.length)).digest()

    return ordered_map(digest, pieces(image, piece_size), threads)
