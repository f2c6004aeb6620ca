"""Who may read the inputs of a command: nobody else may read what it makes of them.

While a command line runs (`tools.core.exit_status.exit_code`), the files that it is given by name and the files that
images refer to are recorded. The mode of an output (`tools.core.outputs.replacing`) follows: as with cp(1), an output
of a file with mode 0600 has 0600 itself, not what the umask would let it have.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

_NOBODY = -1
"""Stands for the group of an input that its group may not read."""

_groups: set[int] | None = None
"""The groups of the recorded inputs that not every user may read; None while nothing is recorded."""


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Records inputs until the block ends; what was recorded before the block doesn't count in it."""
    global _groups  # noqa: PLW0603 - of the process, as the umask is; all threads write outputs of one command
    before, _groups = _groups, set()
    try:
        yield
    finally:
        _groups = before


def record(file: int | str | os.PathLike[str]) -> None:
    """Records an input; without effect outside of `recording`.

    Args:
        file: its descriptor or path. What is neither a regular file nor a block device doesn't count, nor does a file
            that cannot be found: it is for its reader to say so.
    """
    if _groups is None:
        return
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return
    if (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)) and not status.st_mode & stat.S_IROTH:
        _groups.add(status.st_gid if status.st_mode & stat.S_IRGRP else _NOBODY)


def mode_for_readers(mode: int, group: int) -> int:
    """Returns a mode without the rights of those who may not read all recorded inputs.

    Args:
        mode: to restrict.
        group: ID of the output's group.
    """
    if not _groups:
        return mode
    return mode & ~stat.S_IRWXO if _groups == {group} else mode & ~(stat.S_IRWXG | stat.S_IRWXO)
