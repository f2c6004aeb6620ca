"""Writes files so that they survive a power cut as soon as the function has returned."""

from __future__ import annotations

import contextlib
import os

from guestos.errors import GuestError


def replace(path: str, data: bytes, *, mode: int | None = None, owner: tuple[int, int] | None = None) -> None:
    """Replaces the content of a file atomically, and fsyncs it and its directory.

    After a power cut the file has the new or the old content, never a mixture.

    Args:
        path: of the file, which need not exist.
        data: the new content.
        mode: the permissions of the file; None for 0644 less the umask.
        owner: user and group of the file; None for those of this process.

    Raises:
        GuestError: the file cannot be written; it has its old content.
    """
    new = f"{path}.new"
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            if os.pwrite(descriptor, data, 0) != len(data):
                raise OSError(0, "only a part of the data was written")
            if owner is not None:
                os.fchown(descriptor, *owner)
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(new, path)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise GuestError(f"{path}: cannot be written: {error.strerror}") from error


def sync_folder(path: str) -> None:
    """Fsyncs a directory, so that creations, renames and deletions in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
