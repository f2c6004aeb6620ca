"""Verifies the signature of a bootstrap medium's archive.

The medium has the file ic-bootstrap.tar.sig beside the archive. It has the form of an update's signatures
(signatures.py), but what is signed are two lines of text: one that says what it is, and what `sha256sum` prints of the
archive. So an update is never taken for an archive, even if one key signs both, and who signs doesn't need the archive.

A medium may give other bytes each time it is read. So the archive is copied first, to a file without a name in the
encrypted store; the copy is verified, and nothing else is read after that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from guestos import signatures
from guestos.bootstrap_archive import MAX_BYTES, MAX_MEMBERS
from guestos.errors import ImageError
from guestos.update_keys import Trust

SUFFIX = ".sig"
"""Of the file of signatures, after the name of the archive."""

HEADER = "# GuestOS bootstrap medium"
"""The first line of what is signed."""

_MAX_ARCHIVE = MAX_BYTES + MAX_MEMBERS * 2048
"""Maximum size of an archive in bytes: its files and their headers."""

_TEMPORARY = ".bootstrap.new"
_CHUNK = 1 << 20


def statement(name: str, digest: str) -> bytes:
    """Returns what is signed.

    Args:
        name: of the archive, without its directory.
        digest: the SHA-256 of the archive, in hex.
    """
    return f"{HEADER}\n{digest}  {name}\n".encode()


def open_verified(archive: Path, trust: Trust, folder: int) -> BinaryIO:
    """Returns a copy of an archive, whose signature is valid.

    Args:
        archive: path of the tar on the medium.
        trust: the keys, one of which must have signed it.
        folder: descriptor of a directory in which there is space for the copy; is closed.

    Raises:
        ImageError: the archive is not signed by a trusted key.
        OSError: a file cannot be read or written.
    """
    try:
        copy = _unnamed_file(folder)
    finally:
        os.close(folder)
    try:
        digest = hashlib.sha256()
        with archive.open("rb") as source:
            while data := source.read(_CHUNK):
                digest.update(data)
                copy.write(data)
                if copy.tell() > _MAX_ARCHIVE:
                    raise ImageError(f"the archive has more than {_MAX_ARCHIVE} bytes")
        signed = statement(archive.name, digest.hexdigest())
        signatures.verify(signed, _read(archive.with_name(archive.name + SUFFIX)), trust, "archive")
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


def _unnamed_file(folder: int) -> BinaryIO:
    """Returns a new file, open for reading and writing, that is deleted when it is closed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_TEMPORARY, dir_fd=folder)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(_TEMPORARY, flags, 0o600, dir_fd=folder)
    os.unlink(_TEMPORARY, dir_fd=folder)
    return open(descriptor, "w+b")


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(signatures.MOST_BYTES)
    except FileNotFoundError:
        return None
