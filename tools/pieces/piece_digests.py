"""The SHA-256 of each MiB of an image, in a file that the command which writes the image writes, too.

Whoever needs no more than these, or has made something of the same MiB before, need not read the image. It is JSON:

    {
      "format": 1,
      "size": 3221225472,
      "piece_size": 1048576,
      "pieces": {"0": "89ab…", "17": "0123…"}
    }

`size` is that of the image in bytes; `pieces` has the digests of the pieces with data by their numbers, in lower-case
hexadecimal. The others are holes, which read as zeros; the last piece of an image may be shorter.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.core.json_spec import read_spec
from tools.core.outputs import replacing, write_all
from tools.image.extents import Image

FORMAT = 1
PIECE_SIZE = 1 << 20
"""Size of the pieces in bytes, which is that of an upgrade's manifest, too."""

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PieceDigests:
    """The digests of an image's pieces.

    Attributes:
        size: of the image in bytes.
        pieces: SHA-256, 32 bytes, of each piece with data, by its number.
    """

    size: int
    pieces: Mapping[int, bytes]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the file.

        Raises:
            UserError: it cannot be written.
        """
        pieces = {str(number): digest.hex() for number, digest in sorted(self.pieces.items())}
        value = {"format": FORMAT, "size": self.size, "piece_size": PIECE_SIZE, "pieces": pieces}
        with replacing(path) as fd:
            write_all(fd, (json.dumps(value, indent=1) + "\n").encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What stands in the file; see the module's docstring."""

    format: int
    size: int
    piece_size: int
    pieces: dict[str, str]


def read_piece_digests(path: str | os.PathLike[str], image: Image) -> PieceDigests:
    """Reads the digests of an image's pieces. Whether they are those of its content is not checked.

    Args:
        path: of the file.
        image: the image, as `open_image` opens it.

    Raises:
        UserError: the file cannot be read or has another format, or is of an image of another size or with data in
            other pieces.
    """
    found = read_spec(path, _File)
    name = os.fspath(path)
    if (found.format, found.piece_size) != (FORMAT, PIECE_SIZE):
        raise UserError(f"{name}: has format {found.format} and pieces of {found.piece_size} bytes; make it again")
    for number, digest in found.pieces.items():
        if not re.fullmatch("[0-9]{1,12}", number) or not _HASH.fullmatch(digest):
            raise UserError(f"{name}: pieces: {number!r}: {digest!r} is no SHA-256 of a piece with a number")
    digests = PieceDigests(found.size, {int(number): bytes.fromhex(each) for number, each in found.pieces.items()})
    if digests.size != image.size or digests.pieces.keys() != pieces_with_data(image):
        raise UserError(
            f"{name}: is of another image: of {digests.size} bytes with data in {len(digests.pieces)} pieces, not of "
            f"{image.size} bytes with data in {len(pieces_with_data(image))}; make it again"
        )
    return digests


def pieces_with_data(image: Image) -> set[int]:
    """Returns the numbers of the pieces that an extent is in."""
    found: set[int] = set()
    for extent in image.extents:
        found.update(range(extent.offset // PIECE_SIZE, -(-extent.end // PIECE_SIZE)))
    return found


def digests_of(image: Image) -> PieceDigests:
    """Computes the digests of an image's pieces, in one thread. Reads all of its data."""
    return PieceDigests(image.size, {number: digest_of(image, number) for number in sorted(pieces_with_data(image))})


def digest_of(image: Image, number: int) -> bytes:
    """Returns the SHA-256 of a piece of an image."""
    begin = number * PIECE_SIZE
    length = min(PIECE_SIZE, image.size - begin)
    inside = list(image.overlapping(begin, begin + length))
    if len(inside) == 1 and inside[0].length == length:
        return hashlib.sha256(inside[0].source.read(0, length)).digest()
    return hashlib.sha256(image.read(begin, length)).digest()
