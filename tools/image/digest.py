"""Computes the SHA-256 of images, and of their pieces of a fixed size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tools.core.parallel import ordered_map
from tools.image.extents import Image
from tools.image.running_digest import RunningDigest
from tools.image.stream import Piece, pieces

PIECE_SIZE = 1 << 20
"""Default size of the pieces in bytes; the last piece of an image may be shorter."""


def sha256(image: Image) -> bytes:
    """Returns the SHA-256 of an image, 32 bytes: the same as that of the raw file that `write_raw` writes.

    Holes are hashed as zeros, so time is proportional to the size of the image, not of its data.
    """
    digest = RunningDigest()
    for offset, data in image.chunks():
        digest.add(offset, data)
    digest.pad(image.size)
    return digest.digest()


def piece_digests(image: Image, piece_size: int = PIECE_SIZE, threads: int | None = None) -> Iterator[bytes]:
    """Yields the SHA-256 of each piece of an image, in order; pieces in holes take no time.

    Args:
        image: the image.
        piece_size: in bytes; the last piece may be shorter.
        threads: number of threads; the result doesn't depend on it.
    """
    zeros = hashlib.sha256(bytes(piece_size)).digest()

    def digest(piece: Piece) -> bytes:
        if piece.data is not None:
            return hashlib.sha256(piece.data).digest()
        return zeros if piece.length == piece_size else hashlib.sha256(bytes(piece.length)).digest()

    return ordered_map(digest, pieces(image, piece_size), threads)
