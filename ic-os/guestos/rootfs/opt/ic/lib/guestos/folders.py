"""Writes files into directories that services own, as root, without following links that a service may have made.

Every step goes through the descriptor of the directory, and none follows a symbolic link.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_TEMPORARY = ".guestos.new"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Owner = tuple[int, int]
"""User ID and group ID."""


def open_folder(path: Path) -> int:
    """Returns a descriptor of an existing directory, which must not be a symbolic link."""
    return os.open(path, _FOLDER)


def enter(folder: int, name: str, owner: Owner, mode: int) -> int:
    """Creates a directory unless it exists, sets its owner and mode, and returns a descriptor of it.

    Args:
        folder: descriptor of the directory that contains it; is closed.
        name: its name.
        owner: its owner.
        mode: its mode.

    Raises:
        OSError: it cannot be created, or is something else, such as a link.
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
        inner = os.open(name, _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        os.fchown(inner, *owner)
        os.fchmod(inner, mode)
    except OSError:
        os.close(inner)
        raise
    return inner


def write(folder: int, name: str, parts: Iterable[bytes], owner: Owner, mode: int) -> None:
    """Writes a file, which replaces one of that name. Until it is complete only its owner may read it.

    Args:
        folder: descriptor of the directory that contains it.
        name: its name.
        parts: its content.
        owner: its owner.
        mode: its mode.

    Raises:
        OSError: the file cannot be written; the one that was there is unchanged.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_TEMPORARY, dir_fd=folder)
    descriptor = os.open(_TEMPORARY, _FILE, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            os.fchown(descriptor, *owner)
            file.writelines(parts)
            file.flush()
            os.fchmod(descriptor, mode)
        os.rename(_TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(_TEMPORARY, dir_fd=folder)
        raise
