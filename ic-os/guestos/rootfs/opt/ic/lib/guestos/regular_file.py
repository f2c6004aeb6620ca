"""Opens files in directories that other accounts write to: a pipe or a device there must not stop a program of root."""

from __future__ import annotations

import os
import stat

from guestos.errors import GuestError


def open_regular(path: str) -> int:
    """Returns a descriptor of a regular file, for reading. Never waits, as an open of a pipe without a writer would.

    Raises:
        GuestError: it cannot be opened, or is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise GuestError(f"{path}: is not a regular file")
    return descriptor
