"""Hashes the pieces of an image, and reads only those that were not hashed before.

What a piece has follows from where its extents are from: which bytes of which inputs, by the digests that Bazel gives a
worker with its request. So a process that has hashed such a piece knows its SHA-256 without reading it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

from tools.image.extents import Extent, FileRange, Image, Pattern
from tools.pieces.piece_digests import PIECE_SIZE, PieceDigests, digest_of, pieces_with_data

InputDigest = Callable[[str], str | None]
"""Returns what tells the content of an input from all others, by the path that extents name it by; None if unknown."""

_MOST = 1 << 16

# The kinds of sources in a description of a piece.
_CONTENT, _FILE, _PATTERN = range(3)


class DigestStore:
    """The SHA-256 of pieces, by descriptions of where their data is from. Some 200 bytes of memory for each."""

    def __init__(self, most: int = _MOST) -> None:
        """Makes an empty store.

        Args:
            most: number of pieces that it has; if there were more, the store begins anew.
        """
        self._most = most
        self._kept: dict[bytes, bytes] = {}

    def digests_of(self, image: Image, origin: Image, input_digest: InputDigest) -> PieceDigests:
        """Returns what `piece_digests.digests_of` does.

        Args:
            image: the image, as a reader opens it.
            origin: the same image, as it was made: its extents refer to the inputs.
            input_digest: of the files that extents refer to.
        """
        numbers = sorted(pieces_with_data(image))
        return PieceDigests(image.size, {number: self._digest(origin, number, input_digest) for number in numbers})

    def _digest(self, origin: Image, number: int, input_digest: InputDigest) -> bytes:
        key = _description(origin, number, input_digest)
        if key is None:
            return digest_of(origin, number)
        found = self._kept.get(key)
        if found is None:
            found = digest_of(origin, number)
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = found
        return found


def _description(origin: Image, number: int, input_digest: InputDigest) -> bytes | None:
    """Returns what a piece's content follows from, as a SHA-256; None if none of it is of a known input."""
    begin = number * PIECE_SIZE
    length = min(PIECE_SIZE, origin.size - begin)
    parts = [(extent, _known(extent, input_digest)) for extent in origin.overlapping(begin, begin + length)]
    if not any(known is not None for _, known in parts):
        return None
    told = hashlib.sha256(struct.pack("<Q", length))
    for extent, known in parts:
        kind, what = known or (_CONTENT, extent.source.read(0, extent.length))
        told.update(struct.pack("<QQBQ", extent.offset - begin, extent.length, kind, len(what)))
        told.update(what)
    return told.digest()


def _known(extent: Extent, input_digest: InputDigest) -> tuple[int, bytes] | None:
    """Returns the kind of an extent's source, and what its content follows from; None if it has to be read."""
    source = extent.source
    if isinstance(source, Pattern):
        return _PATTERN, struct.pack("<Q", source.phase) + source.block
    if isinstance(source, FileRange) and (digest := input_digest(source.file.path)) is not None:
        return _FILE, struct.pack("<Q", source.start) + digest.encode()
    return None
