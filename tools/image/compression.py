"""Compresses images in independent pieces: zstd frames or gzip members.

A stream is divided into pieces of a fixed size, which are compressed separately. So the result doesn't depend on the
number of threads, and compressed streams can be concatenated: their decompression is the concatenation of the contents.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from tools.core.errors import UserError
from tools.core.parallel import default_threads, ordered_map
from tools.image.extents import Buffer, Image
from tools.image.stream import Piece, pieces

Encoder = Callable[[Buffer], Buffer]
"""Compresses one piece; thread-safe."""

Remember = Callable[[Encoder, str], Encoder]
"""Makes an encoder with the same results of an encoder and a name of it and its parameters, as `PieceStore` does."""


def unchanged(encode: Encoder, _name: str) -> Encoder:
    """Returns the encoder itself."""
    return encode


_MEMORY = 192 << 20
"""Approximate limit of the memory for compression in bytes; a thread needs three pieces: input, output and tables."""


class Frame(NamedTuple):
    """A piece in a compressed stream: a zstd frame or a gzip member.

    Attributes:
        offset: in the stream, in bytes.
        length: in the stream, in bytes.
        content_size: of what it decompresses to, in bytes.
    """

    offset: int
    length: int
    content_size: int


class Codec(Protocol):
    """A compressed format and its parameters."""

    @property
    def name(self) -> str:
        """The usual file name suffix, without the dot."""

    @property
    def piece_size(self) -> int:
        """Size of the pieces that are compressed separately, in bytes."""

    def encoder(self) -> Encoder:
        """Returns the function that compresses a piece; its result depends only on the piece and the parameters."""

    def frames(self, stream: Image, name: str) -> Iterator[Frame]:
        """Yields the pieces of a stream that this codec wrote; reads only headers.

        Args:
            stream: the stream.
            name: of it, for messages.

        Raises:
            UserError: the stream has another format, lacks a field that this codec always writes, or is truncated.
        """


def compressed(
    image: Image,
    codec: Codec,
    threads: int | None = None,
    cuts: Sequence[int] = (),
    remember: Remember = unchanged,
) -> Iterator[tuple[int, Buffer]]:
    """Compresses an image; yields for each piece its uncompressed size in bytes and its compressed data.

    An empty image has one empty piece, so that the result is a valid file. Whole pieces of zeros in holes are
    compressed once and reused.

    Args:
        image: the image; holes are compressed as zeros.
        codec: the format.
        threads: number of threads. The default depends on the number of processors and a limit of the memory; the
            result doesn't depend on it.
        cuts: offsets where a piece ends before it is full; see `pieces`.
        remember: see `Remember`.
    """
    encode = remember(codec.encoder(), repr(codec))
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
    yield from ordered_map(work, pieces(image, size, cuts), threads or min(default_threads(), most))


_COMMON_WINDOW_LOG = 23  # the largest that every decoder should support (RFC 8878, section 3.1.1.1.2)
_MIN_HASH_LOG = 18
"""Binary logarithm of the number of places of earlier data that are known; levels 1 to 3 have 2^14 to 2^17 by default,
for windows of 0.5 to 2 MiB. For 8 MiB this is smaller and faster than long distance matching with small tables."""


@dataclass(frozen=True, slots=True)
class Zstd:
    """zstd (RFC 8878): a frame for each piece, with its content's size and checksum.

    Attributes:
        level: 1 to 22.
        window_log: binary logarithm of the window size in bytes: how far back matches may lie. The default, 8 MiB, is
            the largest that every decoder should support. Larger ones need long distance matching, which takes longer.
        piece_size: size of a frame's content in bytes.
    """

    name: ClassVar[str] = "zst"

    level: int = 3
    window_log: int = _COMMON_WINDOW_LOG
    piece_size: int = 8 << 20

    def encoder(self) -> Encoder:
        import zstandard  # noqa: PLC0415 - a command that makes gzip alone starts earlier

        size, window = self.piece_size, self.window_log
        usual = zstandard.ZstdCompressionParameters.from_level(self.level, source_size=size, window_log=window)
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self.level,
            source_size=size,
            window_log=window,
            hash_log=max(usual.hash_log, _MIN_HASH_LOG),
            enable_ldm=window > _COMMON_WINDOW_LOG,
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

    def frames(self, stream: Image, name: str) -> Iterator[Frame]:
        import zstandard  # noqa: PLC0415 - as above

        at = 0
        while at < stream.size:
            start = stream.read(at, min(_MAX_FRAME_HEADER, stream.size - at))
            try:
                header = zstandard.get_frame_parameters(start)
                blocks = at + zstandard.frame_header_size(start)
            except zstandard.ZstdError as error:
                raise UserError(f"{name}: has no zstd frame at byte {at}") from error
            if header.content_size == zstandard.CONTENTSIZE_UNKNOWN or not header.has_checksum:
                raise UserError(f"{name}: has a zstd frame without size or checksum at byte {at}")
            end = _end_of_blocks(stream, blocks, name) + _FRAME_CHECKSUM
            if end > stream.size:
                raise _truncated_frame(name)
            yield Frame(at, end - at, header.content_size)
            at = end
        if not stream.size:
            raise _truncated_frame(name)


_MAX_FRAME_HEADER = 18
_FRAME_CHECKSUM = 4
_BLOCK_HEADER = 3
_BLOCK_RLE = 1


def _truncated_frame(name: str) -> UserError:
    return UserError(f"{name}: ends within a zstd frame; it is truncated")


def _end_of_blocks(stream: Image, at: int, name: str) -> int:
    """Returns the offset of the end of a frame's blocks, which start at `at` (RFC 8878, section 3.1.1.2)."""
    last = False
    while not last:
        if at + _BLOCK_HEADER > stream.size:
            raise _truncated_frame(name)
        header = int.from_bytes(stream.read(at, _BLOCK_HEADER), "little")
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        at += _BLOCK_HEADER + (1 if kind == _BLOCK_RLE else length)
    return at


_MEMBER_HEADER = struct.Struct("<4sLBBH2sHL")
"""A gzip member's header (RFC 1952, section 2.3), with an extra field of one subfield: the size of the member."""

_MEMBER_START = b"\x1f\x8b\x08\x04"  # magic, deflate, FEXTRA
_SUBFIELD = (8, b"SZ", 4)  # length of the extra field, ID and length of its subfield
_UNKNOWN_SYSTEM = 255
_MEMBER_TRAILER = struct.Struct("<LL")


@dataclass(frozen=True, slots=True)
class Gzip:
    """gzip (RFC 1952): a member for each piece, without name and time, with the member's size in an extra field.

    Attributes:
        level: compression level of libdeflate, 0 to 12.
        piece_size: size of a member's content in bytes.
    """

    name: ClassVar[str] = "gz"

    level: int = 5
    piece_size: int = 4 << 20

    def encoder(self) -> Encoder:
        import deflate  # noqa: PLC0415 - a command that makes zstd alone starts earlier

        def encode(data: Buffer) -> Buffer:
            member = deflate.deflate_compress(data, self.level)
            size = _MEMBER_HEADER.size + len(member) + _MEMBER_TRAILER.size
            # In place: another buffer of this size would take longer than moving the bytes.
            member[:0] = _MEMBER_HEADER.pack(_MEMBER_START, 0, 0, _UNKNOWN_SYSTEM, *_SUBFIELD, size)
            member += _MEMBER_TRAILER.pack(deflate.crc32(data), len(data))
            return memoryview(member)

        return encode

    def frames(self, stream: Image, name: str) -> Iterator[Frame]:
        at, size = 0, stream.size
        while at < size:
            if size - at < _MEMBER_HEADER.size + _MEMBER_TRAILER.size:
                raise UserError(f"{name}: ends within a gzip member; it is truncated")
            start, _, _, _, *subfield, length = _MEMBER_HEADER.unpack(stream.read(at, _MEMBER_HEADER.size))
            if start != _MEMBER_START or tuple(subfield) != _SUBFIELD:
                raise UserError(f"{name}: has no gzip member with its size in the header at byte {at}")
            if not _MEMBER_HEADER.size + _MEMBER_TRAILER.size <= length <= size - at:
                raise UserError(f"{name}: has a gzip member of {length} bytes at byte {at}; it is damaged")
            trailer = stream.read(at + length - _MEMBER_TRAILER.size, _MEMBER_TRAILER.size)
            yield Frame(at, length, _MEMBER_TRAILER.unpack(trailer)[1])
            at += length
        if not size:
            raise UserError(f"{name}: is empty, so it is not a gzip file")
