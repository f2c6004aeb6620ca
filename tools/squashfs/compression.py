"""The compressions of blocks; each block of data or of metadata is compressed on its own.

A file system has one compression. A block that it doesn't make smaller is stored as it is. The options of a compression
("3.1 Compression options" in Linux Documentation/filesystems/squashfs.rst) are not written: no decoder needs those of
zlib and zstd.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import deflate
import zstandard

from tools.image.compression import Encoder
from tools.image.extents import Buffer


@dataclass(frozen=True, slots=True)
class Compression:
    """A compression that is written.

    Attributes:
        name: its name.
        number: its number in the superblock.
        levels: the possible levels.
        default_level: the level if none is given.
    """

    name: str
    number: int
    levels: range
    default_level: int


COMPRESSIONS = {
    each.name: each
    for each in (
        Compression("zstd", 6, range(1, 23), 15),
        Compression("gzip", 1, range(1, 13), 9),
        Compression("none", 1, range(1), 0),
    )
}
"""The compressions by name. Without compression the number has to be one that every kernel knows."""


def encoder(name: str, level: int) -> Encoder:
    """Returns the function that compresses a block; it is thread-safe, and returns the block itself if that is smaller.

    Args:
        name: of the compression, a key of `COMPRESSIONS`.
        level: one of its levels.
    """
    if name == "none":
        return _unchanged
    compress = _zstd(level) if name == "zstd" else _zlib(level)

    def encode(data: Buffer) -> Buffer:
        packed = compress(data)
        return packed if len(packed) < len(data) else data

    return encode


def _unchanged(data: Buffer) -> Buffer:
    return data


def _zlib(level: int) -> Encoder:
    def compress(data: Buffer) -> Buffer:
        return bytes(deflate.zlib_compress(data, level))

    return compress


def _zstd(level: int) -> Encoder:
    contexts = threading.local()

    def compress(data: Buffer) -> Buffer:
        if not hasattr(contexts, "compressor"):
            contexts.compressor = zstandard.ZstdCompressor(level, write_content_size=True)
        result: bytes = contexts.compressor.compress(data)
        return result

    return compress
