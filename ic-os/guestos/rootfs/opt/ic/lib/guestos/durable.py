"""Files that are on the disk, whole, when a function returns."""

from __future__ import annotations

import contextlib
import os

from guestos.errors import GuestError


def replace(path: str, data: bytes) -> None:
    """Makes a file hold `data`. After a power cut it holds that or what it held before, and never a mixture.

    Raises:
        GuestError: it cannot be written; it is what it was.
    """
    new = f"{path}.new"
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            if os.pwrite(descriptor, data, 0) != len(data):
                raise OSError(0, "the disk took only a part of it")
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
    """Puts the names in a folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
