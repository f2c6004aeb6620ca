"""The structures of a tar that its readers have in common: blocks, fields of headers, extended headers.

Format: IEEE Std 1003.1, pax ("ustar Interchange Format", "pax Extended Header"); GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from guestos.compressed_stream import Stream
from guestos.errors import ImageError

BLOCK = 512

MAX_EXTENDED = 1 << 16
"""Maximum size of an extended header, in bytes; what is written in practice is smaller."""

_CHECKSUM = slice(148, 156)
_DIGITS = 20
"""Maximum number of digits of a length in an extended header."""


class Blocks:
    """Reads a stream in parts of known size.

    Attributes:
        position: the number of bytes that were read.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.position = 0

    def exactly(self, size: int) -> bytes:
        """Returns the next `size` bytes.

        Raises:
            ImageError: the stream has fewer.
        """
        data = self._stream.read(size) if size else b""
        if len(data) < size:
            raise ImageError("the archive is truncated")
        self.position += size
        return data

    def at_most(self, size: int) -> bytes:
        """Returns the next `size` bytes, or fewer at the end of the stream."""
        data = self._stream.read(size)
        self.position += len(data)
        return data

    def padded(self, header: bytes) -> bytes:
        """Returns the data of an extended header, and skips its padding.

        Args:
            header: the block that precedes the data and has its size.

        Raises:
            ImageError: it is longer than MAX_EXTENDED, or truncated.
        """
        size = number(header[124:136])
        if size > MAX_EXTENDED:
            raise ImageError(f"the archive has an extended header of more than {MAX_EXTENDED} bytes")
        data = self.exactly(size)
        self.exactly(-size % BLOCK)
        return data


def check_sum(block: bytes) -> None:
    """Checks the checksum of a header.

    Raises:
        ImageError: it is wrong.
    """
    if sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ") != number(block[_CHECKSUM]):
        raise ImageError("the archive is damaged: the checksum of a header is wrong")


def records(data: bytes) -> Iterator[tuple[str, str]]:
    """Yields keyword and value of each record of a pax extended header.

    Raises:
        ImageError: a record is invalid.
    """
    at = 0
    while at < len(data):
        digits = data[at : at + _DIGITS].partition(b" ")[0]
        length = decimal(digits.decode("ascii", "replace"))
        record = data[at + len(digits) + 1 : at + length - 1]
        keyword, equals, value = record.decode("utf-8", "replace").partition("=")
        if at + length > len(data) or data[at + length - 1 : at + length] != b"\n" or not equals:
            raise ImageError("the archive is damaged: an extended header is invalid")
        yield keyword, value
        at += length


def number(field: bytes) -> int:
    """Returns the number in a header field: octal digits, or binary after a byte 0x80 (GNU tar's base 256).

    Raises:
        ImageError: it is not a number.
    """
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise ImageError("the archive is damaged, or is not a tar")
    return int(digits, 8)


def decimal(text: str) -> int:
    """Returns a decimal number of up to 18 digits.

    Raises:
        ImageError: it is not such a number.
    """
    if not re.fullmatch("[0-9]{1,18}", text, re.ASCII):
        raise ImageError(f"the archive is damaged: {text!r} in an extended header or sparse map is not a number")
    return int(text)
