"""Decompresses blocks (RFC 1950, RFC 8878 and The .xz File Format); see `tools.squashfs.compression`."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable

import zstandard

from tools.core.errors import UserError

Decoder = Callable[[bytes, int], bytes]
"""Decompresses a block of at most so many bytes; raises a `ValueError` if it is damaged or has more."""

_XZ_MEMORY = 64 << 20


def decoder(number: int) -> Decoder:
    """Returns the function that decompresses a block.

    Args:
        number: of the compression in the superblock.

    Raises:
        UserError: the compression is unknown or not supported.
    """
    decoders: dict[int, Decoder] = {1: _decode_zlib, 4: _decode_xz, 6: _decode_zstd}
    if number in decoders:
        return decoders[number]
    name = {2: "lzma", 3: "lzo", 5: "lz4"}.get(number, f"number {number}")
    raise UserError(f"its compression is {name}, which is not supported; only gzip, xz and zstd are")


def _decode_zlib(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, most)
    except zlib.error as error:
        raise ValueError(f"it cannot be decompressed: {error}") from None
    return _whole(content, is_whole=stream.eof)


def _decode_xz(data: bytes, most: int) -> bytes:
    try:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        content = stream.decompress(data, most)
    except lzma.LZMAError as error:
        raise ValueError(f"it cannot be decompressed: {error}") from None
    return _whole(content, is_whole=stream.eof)


def _decode_zstd(data: bytes, most: int) -> bytes:
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size != zstandard.CONTENTSIZE_UNKNOWN and size > most:
            return _whole(b"", is_whole=False)
        content: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=most)
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be decompressed: {error}") from None
    return content


def _whole(content: bytes, *, is_whole: bool) -> bytes:
    if not is_whole:
        raise ValueError("it is truncated, or has more bytes than there should be")
    return content
