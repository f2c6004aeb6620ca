"""Creates the source archive: a reproducible .tar.gz."""

from __future__ import annotations

from collections.abc import Iterable

import deflate

from dev.release.checkout import TrackedFile
from tools.tar import header
from tools.tar.member_header import member_header

_MTIME_NS = 946684800 * 10**9
"""Modification time of all files: 2000-01-01, since some tools reject earlier ones."""

_LEVEL = 12


def source_archive(files: Iterable[TrackedFile], folder: str) -> bytes:
    """Returns a tar archive, compressed with gzip; all files are owned by root.

    Args:
        files: files, in the order of the archive.
        folder: directory in the archive for all files.
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
