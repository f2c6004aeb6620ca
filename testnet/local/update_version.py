"""The version of an update image, from its manifest, whose signature only the nodes verify."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard
from guestos import manifest
from guestos.errors import ImageError

from tools.core.errors import UserError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_DAMAGED = (tarfile.TarError, zstandard.ZstdError, zlib.error, EOFError, ImageError, OSError)


def version_of(path: Path) -> str:
    """Returns the version of an update image: a tar, plain or compressed by gzip or zstd.

    Raises:
        UserError: the file cannot be read, or is no update image.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            return _version(file)
        except _DAMAGED as error:
            raise UserError(f"{path}: is not an update image: {error}") from error


def _version(file: BinaryIO) -> str:
    with _decompressed(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        member = archive.next()
        if member is None or member.name != manifest.NAME or member.size > manifest.MOST_BYTES:
            raise ImageError(f"its first member is not {manifest.NAME}")
        content = archive.extractfile(member)
        return manifest.parse(content.read() if content else b"").version


@contextmanager
def _decompressed(file: BinaryIO) -> Iterator[BinaryIO]:
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP):
        with gzip.open(file) as stream:
            yield cast(BinaryIO, stream)
    elif start == _ZSTD:
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
            yield stream
    else:
        yield file
