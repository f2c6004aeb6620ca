"""Checks that a machine takes an archive of a bootstrap medium: names, numbers and sizes that it has limits for.

A machine refuses the medium as a whole otherwise, and one of prod never looks for another. The archive is read as the
machine reads it, by `guestos.bootstrap_archive`.
"""

from __future__ import annotations

from guestos.bootstrap import CONFIG, MEMBERS
from guestos.bootstrap_archive import Archive
from guestos.errors import ImageError

from tools.core.errors import UserError
from tools.image.extents import Image

MAX_CONFIG = 16 << 20
"""Maximum size of all files for the config store together, in bytes; the same as in `guestos.bootstrap`."""


def check_archive(archive: Image) -> None:
    """Reads an archive to its end.

    Args:
        archive: with members that `guestos.bootstrap.MEMBERS` has.

    Raises:
        UserError: a machine would refuse it.
    """
    config = 0
    try:
        for member in Archive(_Stream(archive)).members():
            if member.problem:
                raise UserError(f"a machine would refuse this configuration: {member.problem}")
            if member.path and MEMBERS[member.path[0]].parent == CONFIG:
                config += member.size or 0
    except ImageError as error:
        raise UserError(f"a machine would refuse this configuration: {error}") from error
    if config > MAX_CONFIG:
        raise UserError(f"the files for {CONFIG} have {config} bytes together; a machine takes up to {MAX_CONFIG}")


class _Stream:
    """An image as a stream of bytes."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._position = 0

    def read(self, size: int) -> bytes:
        """Returns the next bytes; fewer only at the end."""
        data = self._image.read(self._position, min(size, self._image.size - self._position))
        self._position += len(data)
        return data
