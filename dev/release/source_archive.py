"""The archive of the sources: a tar that is the same wherever it is made."""

from __future__ import annotations

from collections.abc import Iterable

import deflate

from dev.release.checkout import TrackedFile
from tools.tar import header
from tools.tar.member_header import member_header

_MTIME_NS = 946684800 * 10**9
"""Time of all files: 2000-01-01; tools complain of earlier ones, or can't write them."""

_LEVEL = 12


def source_archive(files: Iterable[TrackedFile], folder: str) -> bytes:
    """Returns a tar, compressed by gzip, that belongs to root.

    Args:
        files: in the order in which they are to stand there.
        folder: that all of them are in.
    """
    parts: list[bytes] = []
    for file in files:
        path = folder.encode() + b"/" + file.path
        if file.symlink:
            parts.append(member_header(path, header.SYMLINK, mode=0o777, mtime_ns=_MTIME_NS, link=file.content))
            continue
        mode = 0o755 if file.executable else 0o644
        size = len(file.content)
        parts.append(member_header(path, header.REGULAR, mode=mode, mtime_ns=_MTIME_NS, size=size))
        parts += [file.content, bytes(header.padded(size) - size)]
    return bytes(deflate.gzip_compress(b"".join([*parts, header.END]), _LEVEL))
