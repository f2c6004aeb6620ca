"""Decompresses gzip, zstd and xz files into sparse files."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import zlib
from typing import BinaryIO

import zstandard

from tools.core.errors import UserError
from tools.core.frames import xz_reader, zstd_reader
from tools.core.outputs import replacing, write_all
from tools.image.extents import InputFile

_CHUNK = 1 << 20

_MAGIC = {
    "gzip": b"\x1f\x8b",  # RFC 1952, 2.3.1: ID1 and ID2
    "xz": b"\xfd7zXZ\0",  # The .xz File Format, 2.1.1.1: Header Magic Bytes
    "zstd": b"\x28\xb5\x2f\xfd",  # RFC 8878, 3.1.1: Magic_Number
}


def compression_of(path: str | os.PathLike[str]) -> str | None:
    """Returns `gzip`, `xz` or `zstd` for a file that starts with their magic number, else None.

    Raises:
        UserError: the file cannot be read.
    """
    file = InputFile(path)
    start = file.read(0, min(file.size(), max(map(len, _MAGIC.values()))))
    return next((name for name, magic in _MAGIC.items() if start.startswith(magic)), None)


def decompress(path: str | os.PathLike[str], output: str | os.PathLike[str], most: int | None = None) -> None:
    """Decompresses a file; writes holes for pieces of 1 MiB of zeros, and keeps only one piece in memory.

    Args:
        path: compressed file, with any number of gzip members, xz streams or zstd frames.
        output: output file, created atomically.
        most: largest size of the output in bytes; by default there is no limit.

    Raises:
        UserError: the file cannot be read, is damaged or truncated, or has more than `most` bytes when decompressed; or
            the output cannot be written.
    """
    try:
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(open(path, "rb"))
            content = stack.enter_context(_reader(path, source))
            fd = stack.enter_context(replacing(output))
            size = 0
            while piece := _read(content, path):
                size += len(piece)
                if most is not None and size > most:
                    raise UserError(f"{os.fspath(path)}: has more than {most} bytes when decompressed")
                if piece.count(0) == len(piece):
                    os.lseek(fd, size, os.SEEK_SET)
                else:
                    write_all(fd, piece)
            os.ftruncate(fd, size)
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from error


def _read(content: BinaryIO, path: str | os.PathLike[str]) -> bytes:
    """Returns the next piece; an error is one of `path`, not of the output, though some of them are OSErrors."""
    try:
        return content.read(_CHUNK)
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise UserError(f"{os.fspath(path)}: cannot be decompressed: {error}") from error


def _reader(path: str | os.PathLike[str], source: BinaryIO) -> BinaryIO:
    match compression_of(path):
        case "gzip":
            return gzip.GzipFile(fileobj=source)  # type: ignore[return-value]
        case "xz":
            return xz_reader(source)  # type: ignore[return-value]
        case "zstd":
            return zstd_reader(source)  # type: ignore[return-value]
    raise UserError(f"{os.fspath(path)}: is not gzip, xz or zstd")
