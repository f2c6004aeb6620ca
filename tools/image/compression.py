"""Compression in pieces that are independent of each other: zstd frames, gzip members.

A stream is cut into pieces of a fixed size, and each piece is compressed by itself. So the result is the same however
many processors share the work, and compressed streams can be joined: what decompresses to A, followed by what
decompresses to B, decompresses to A and B.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import deflate
import zstandard

from tools.core.errors import UserError
from tools.core.parallel import default_threads, ordered_map
from tools.image.extents import Buffer, Image, InputFile
from tools.image.stream import Piece, pieces

Encoder = Callable[[Buffer], Buffer]
"""Compresses one piece; may be called from several threads at once."""

_MEMORY = 192 << 20
"""About how much memory compression may take, in bytes; a thread takes three pieces: input, output and tables."""


class Codec(Protocol):
    """A compressed format and its parameters."""

    @property
    def name(self) -> str:
        """The usual suffix of a file's name."""

    @property
    def piece_size(self) -> int:
        """How much of a stream is compressed by itself, in bytes."""

    def encoder(self) -> Encoder:
        """Returns what compresses a piece; the result depends on the piece and the parameters alone."""

    def content_size(self, file: InputFile) -> int:
        """Returns how many bytes a file that this codec made decompresses to; reads little of it.

        Raises:
            UserError: the file is not of the format, lacks what this codec always writes, or is cut off.
        """


def compressed(image: Image, codec: Codec, threads: int | None = None) -> Iterator[tuple[int, Buffer]]:
    """Yields an image's bytes compressed, piece by piece, with the number of bytes that a piece was before.

    An empty image gives one piece, so that the result is a valid file. Pieces that lie in holes are compressed once.

    Args:
        image: what to compress, holes included.
        codec: the format.
        threads: how many pieces are worked on at once. The default follows the processors and bounds the memory; the
            result does not depend on it.
    """
    encode = codec.encoder()
    if not image.size:
        yield 0, encode(b"")
        return
    size = codec.piece_size
    zeros: Buffer | None = None

    def work(piece: Piece) -> tuple[int, Buffer]:
        nonlocal zeros
        if piece.data is not None:
            return piece.length, encode(piece.data)
        if piece.length < size:
            return piece.length, encode(bytes(piece.length))
        if zeros is None:
            zeros = encode(bytes(size))
        return size, zeros

    most = max(_MEMORY // (3 * size), 1)
    yield from ordered_map(work, pieces(image, size), threads or min(default_threads(), most))


@dataclass(frozen=True, slots=True)
class Zstd:
    """zstd (RFC 8878): a frame for each piece, with its content's size and checksum.

    Attributes:
        level: 1 to 22.
        window_log: how far back a match may lie, as a power of two; matches are looked for over all of the window. The
            default, 8 MiB, is the most that every decoder has to support.
        piece_size: in bytes; matches don't reach from one piece into another.
    """

    name: ClassVar[str] = "zst"

    level: int = 3
    window_log: int = 23
    piece_size: int = 8 << 20

    def encoder(self) -> Encoder:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.level,
            source_size=self.piece_size,
            window_log=self.window_log,
            enable_ldm=True,
            write_checksum=True,
            write_content_size=True,
        )
        contexts = threading.local()

        def encode(data: Buffer) -> bytes:
            if not hasattr(contexts, "compressor"):
                contexts.compressor = zstandard.ZstdCompressor(compression_params=parameters)
            result: bytes = contexts.compressor.compress(data)
            return result

        return encode

    def content_size(self, file: InputFile) -> int:
        size, at, total = file.size(), 0, 0
        while at < size:
            start = file.read(at, min(_FRAME_HEADER_MOST, size - at))
            try:
                header = zstandard.get_frame_parameters(start)
                at += zstandard.frame_header_size(start)
            except zstandard.ZstdError as error:
                raise UserError(f"{file.path}: has no zstd frame at byte {at}") from error
            if header.content_size == zstandard.CONTENTSIZE_UNKNOWN or not header.has_checksum:
                raise UserError(f"{file.path}: has a zstd frame without size or checksum at byte {at}")
            total += header.content_size
            at = _end_of_blocks(file, at) + _FRAME_CHECKSUM
        if at != size or not size:
            raise UserError(f"{file.path}: ends within a zstd frame; it is truncated")
        return total


_FRAME_HEADER_MOST = 18
_FRAME_CHECKSUM = 4
_BLOCK_HEADER = 3
_BLOCK_RLE = 1


def _end_of_blocks(file: InputFile, at: int) -> int:
    """Returns where the blocks of a frame end that begin at `at` (RFC 8878 section 3.1.1.2)."""
    last = False
    while not last:
        header = int.from_bytes(file.read(at, _BLOCK_HEADER), "little")
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        at += _BLOCK_HEADER + (1 if kind == _BLOCK_RLE else length)
    return at


_MEMBER_HEADER = struct.Struct("<4sLBBH2sHL")
"""A gzip member's header (RFC 1952 section 2.3) with an extra field that has one subfield: the member's size."""

_MEMBER_START = b"\x1f\x8b\x08\x04"  # magic, deflate, FEXTRA
_SUBFIELD = (8, b"SZ", 4)  # length of the extra field, name and length of its subfield
_UNKNOWN_SYSTEM = 255
_MEMBER_TRAILER = struct.Struct("<LL")


@dataclass(frozen=True, slots=True)
class Gzip:
    """gzip (RFC 1952): a member for each piece, without name and time, and with its own size in an extra field.

    Attributes:
        level: 0 to 12, as libdeflate counts them.
        piece_size: in bytes.
    """

    name: ClassVar[str] = "gz"

    level: int = 6
    piece_size: int = 4 << 20

    def encoder(self) -> Encoder:
        def encode(data: Buffer) -> bytes:
            body = deflate.deflate_compress(data, self.level)
            size = _MEMBER_HEADER.size + len(body) + _MEMBER_TRAILER.size
            header = _MEMBER_HEADER.pack(_MEMBER_START, 0, 0, _UNKNOWN_SYSTEM, *_SUBFIELD, size)
            return b"".join((header, body, _MEMBER_TRAILER.pack(deflate.crc32(data), len(data))))

        return encode

    def content_size(self, file: InputFile) -> int:
        size, at, total = file.size(), 0, 0
        while at < size:
            if size - at < _MEMBER_HEADER.size + _MEMBER_TRAILER.size:
                raise UserError(f"{file.path}: ends within a gzip member; it is truncated")
            start, _, _, _, *subfield, length = _MEMBER_HEADER.unpack(file.read(at, _MEMBER_HEADER.size))
            if start != _MEMBER_START or tuple(subfield) != _SUBFIELD:
                raise UserError(f"{file.path}: has no gzip member that says its size at byte {at}")
            if not _MEMBER_HEADER.size + _MEMBER_TRAILER.size <= length <= size - at:
                raise UserError(f"{file.path}: has a gzip member of {length} bytes at byte {at}; it is damaged")
            at += length
            total += _MEMBER_TRAILER.unpack(file.read(at - _MEMBER_TRAILER.size, _MEMBER_TRAILER.size))[1]
        if not size:
            raise UserError(f"{file.path}: is empty, so it is not a gzip file")
        return total
