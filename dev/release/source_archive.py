"""The archive of the sources: a tar that is the same wherever it is made."""

from __future__ import annotations

from collections.abc import Iterable

import deflate

from dev.release.checkout import TrackedFile
from tools.core.errors import UserError
from tools.tar import header

MTIME = 946684800
"""Time of all files: 2000-01-01, in seconds since the epoch; tools complain of earlier ones, or can't write them."""

_LEVEL = 12
_NAME, _PREFIX = 100, 155  # what the fields of a header hold, in bytes


def source_archive(files: Iterable[TrackedFile], folder: str) -> bytes:
    """Returns a tar, compressed by gzip, that belongs to root.

    Args:
        files: in the order in which they are to stand there.
        folder: that all of them are in.

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
    """Returns prefix and name of a path, as a header holds them.

    Raises:
        UserError: there's no place to split it.
    """
    if len(path) <= _NAME:
        return b"", path
    at = path.find(b"/", len(path) - _NAME - 1)
    if not 0 < at <= _PREFIX:
        raise UserError(f"{path.decode(errors='replace')}: is too long for a tar; shorten it")
    return path[:at], path[at + 1 :]
