"""Creates the source archive: a reproducible .tar.gz."""

from __future__ import annotations

from collections.abc import Iterable

import deflate

from dev.release.checkout import TrackedFile
from tools.core.errors import UserError
from tools.tar import header

MTIME = 946684800
"""Modification time of all files, in seconds since the epoch: 2000-01-01, since some tools reject earlier ones."""

_LEVEL = 12
_NAME, _PREFIX = 100, 155  # sizes of the header's fields in bytes


def source_archive(files: Iterable[TrackedFile], folder: str) -> bytes:
    """Returns a tar archive, compressed with gzip; all files are owned by root.

    Args:
        files: files, in the order of the archive.
        folder: directory in the archive for all files.

    Raises:
        UserError: a path is too long.
    """
    parts: list[bytes] = []
    for file in files:
        prefix, name = _split(folder.encode() + b"/" + file.path)
        if file.symlink:
            parts.append(header.build(name, header.SYMLINK, mode=0o777, mtime=MTIME, link=file.content, prefix=prefix))
            continue
        mode = 0o755 if file.executable else 0o644
        size = len(file.content)
        parts.append(header.build(name, header.REGULAR, mode=mode, mtime=MTIME, size=size, prefix=prefix))
        parts += [file.content, bytes(header.padded(size) - size)]
    return bytes(deflate.gzip_compress(b"".join([*parts, header.END]), _LEVEL))


def _split(path: bytes) -> tuple[bytes, bytes]:
    """Splits a path into prefix and name of a ustar header.

    Raises:
        UserError: the path can't be split.
    """
    if len(path) <= _NAME:
        return b"", path
    at = path.find(b"/", len(path) - _NAME - 1)
    if not 0 < at <= _PREFIX:
        raise UserError(f"{path.decode(errors='replace')}: is too long for a tar; shorten it")
    return path[:at], path[at + 1 :]
