"""Reads the tar of an update image from a stream.

Only what the build writes is accepted: regular files with plain names, dense or in GNU tar's sparse format 1.0. Every
other member, header or data between members is refused, so that no program can see more in the archive than this one
does. Format: IEEE Std 1003.1, pax ("ustar Interchange Format", "pax Extended Header"); GNU tar manual, "Storing Sparse
Files", PAX format version 1.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from guestos.compressed_stream import Stream
from guestos.errors import ImageError
from guestos.tar_blocks import BLOCK, Blocks, check_sum, decimal, number, records

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,99}")
_RECORD = 20 * BLOCK
_MOST_MAP = 1 << 22
"""The limit for the size of a sparse map, in bytes; what the build writes is smaller."""

_SPARE_RANGES = 64

_KNOWN = {"GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize", "comment", "mtime", "path"}


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive.

    Attributes:
        name: of the file, without a directory.
        size: of the file with its holes, in bytes.
        ranges: offset and length of each range with data, in bytes, in order; the rest is holes, which read as zeros.
    """

    name: str
    size: int
    ranges: tuple[tuple[int, int], ...]


class TarStream:
    """An archive that is read once, from its start to its end."""

    def __init__(self, stream: Stream) -> None:
        self._blocks = Blocks(stream)
        self._left = 0
        self._padding = 0
        self._before: set[str] = set()

    def next(self) -> Member | None:
        """Reads the header of the next member; `read` then returns the member's data.

        Returns:
            The member; None at the end of the archive.

        Raises:
            ImageError: the archive is damaged or truncated, or has a member that is not accepted.
        """
        self._skip_rest()
        block = self._blocks.exactly(BLOCK)
        extended: dict[str, str] = {}
        if block[156:157] == b"x":
            extended = _known(self._blocks.padded(block))
            block = self._blocks.exactly(BLOCK)
        if not block.strip(b"\0"):
            if extended:
                raise ImageError("the archive ends after an extended header")
            self._check_end()
            return None
        member = self._member(block, extended)
        if not _NAME.fullmatch(member.name):
            raise ImageError(f"the archive has a member {member.name!r}, which is not a plain file name")
        if member.name in self._before:
            raise ImageError(f"the archive has {member.name} twice")
        self._before.add(member.name)
        return member

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes of the member's data, without its holes.

        Raises:
            ImageError: the member has less data, or the archive is truncated.
        """
        if size > self._left:
            raise ImageError("a member of the archive has less data than its header or sparse map declares")
        self._left -= size
        return self._blocks.exactly(size)

    def _member(self, block: bytes, extended: dict[str, str]) -> Member:
        if block[257:263] != b"ustar\0":
            raise ImageError("the archive is not a tar in the format ustar or pax")
        check_sum(block)
        name = block[:100].partition(b"\0")[0].decode("ascii", "replace")
        if block[156:157] not in (b"0", b"\0"):
            raise ImageError(f"the archive has a member {name!r} that is not a regular file")
        if block[345] != 0:
            raise ImageError(f"the archive has a member {name!r} in a directory")
        stored = number(block[124:136])
        self._left = stored
        self._padding = -stored % BLOCK
        if "GNU.sparse.major" not in extended:
            return Member(extended.get("path", name), stored, ((0, stored),) if stored else ())
        if (extended["GNU.sparse.major"], extended.get("GNU.sparse.minor")) != ("1", "0"):
            raise ImageError(f"the archive has holes in {name!r} in a format that is not supported")
        size = decimal(extended.get("GNU.sparse.realsize", ""))
        return Member(extended.get("GNU.sparse.name", name), size, self._map(size))

    def _map(self, size: int) -> tuple[tuple[int, int], ...]:
        """Reads the sparse map of a member, which precedes its data; returns the ranges with data.

        Args:
            size: of the file with its holes, in bytes.
        """
        lines = self._map_lines()
        numbers = [decimal(line) for line in lines]
        ranges: list[tuple[int, int]] = []
        end = 0
        for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
            if offset < end or offset + length > size:
                raise ImageError("the archive is damaged: the ranges of a sparse map are not in order")
            if length:
                ranges.append((offset, length))
            end = offset + length
        if sum(length for _, length in ranges) != self._left:
            raise ImageError("the archive is damaged: a sparse map does not match the size of the data")
        return tuple(ranges)

    def _map_lines(self) -> list[str]:
        text = self.read(BLOCK)
        if b"\n" not in text[:20]:
            raise ImageError("the archive is damaged: a sparse map does not begin with its length")
        ranges = decimal(text[: text.index(b"\n")].decode("ascii", "replace"))
        if ranges > _SPARE_RANGES + (self._left + BLOCK) // BLOCK:  # what the build writes consists of whole blocks
            raise ImageError(f"the archive has a sparse map of {ranges} ranges for {self._left} bytes of data")
        count = 2 * ranges + 1
        blocks = [text]
        found = text.count(b"\n")
        while found < count:
            if len(blocks) * BLOCK >= _MOST_MAP:
                raise ImageError(f"the archive has a sparse map of more than {_MOST_MAP} bytes")
            blocks.append(self.read(BLOCK))
            found += blocks[-1].count(b"\n")
        return b"".join(blocks).decode("ascii", "replace").split("\n")[1:count]

    def _skip_rest(self) -> None:
        if self._left:
            raise ImageError("the archive has a member with more data than its manifest entry")
        if self._blocks.exactly(self._padding).strip(b"\0"):
            raise ImageError("the archive is damaged: there is data between its members")
        self._padding = 0

    def _check_end(self) -> None:
        """Checks that only the padding of the archive's last record follows."""
        rest = self._blocks.at_most(_RECORD + 1)
        if len(rest) > _RECORD or rest.strip(b"\0"):
            raise ImageError("there is data after the end of the archive")
        if len(rest) < BLOCK or self._blocks.position % _RECORD:
            raise ImageError("the archive is truncated: its end is missing")


def _known(data: bytes) -> dict[str, str]:
    """Returns the records of an extended header.

    Raises:
        ImageError: a record is invalid, unknown or repeated.
    """
    found: dict[str, str] = {}
    for keyword, value in records(data):
        if keyword not in _KNOWN or keyword in found:
            raise ImageError(f"the archive has an extended header with {keyword!r}, which is unknown or repeated")
        found[keyword] = value
    return found
