"""A temporary file for data that an image refers to, so that it isn't in memory until the image is written."""

from __future__ import annotations

import os
import tempfile

from tools.core.errors import UserError
from tools.core.outputs import write_all
from tools.image.extents import Buffer, InputFile


class Spool(InputFile):
    """A temporary file without a name, which only this process can read; it grows at its end.

    Extents refer to it as to an input file, and it exists as long as one does.
    """

    __slots__ = ("_end", "_file")

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Makes an empty file.

        Args:
            folder: where its data takes space; by default the folder for temporary files.

        Raises:
            UserError: the file cannot be made.
        """
        shown = os.fspath(folder or tempfile.gettempdir())
        super().__init__(shown)
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - as long as the spool
        except OSError as error:
            raise UserError(f"{shown}: cannot hold a temporary file: {error.strerror}") from error
        self._end = 0

    def fileno(self) -> int:
        return self._file.fileno()

    def append(self, data: Buffer) -> int:
        """Writes data at the end; returns its offset.

        Raises:
            UserError: there is no space for it.
        """
        offset = self._end
        try:
            write_all(self._file.fileno(), data)
        except OSError as error:
            raise UserError(f"{self.path}: a temporary file cannot be written: {error.strerror}") from error
        self._end += len(data)
        return offset

    def close(self) -> None:
        """Does nothing: an extent may still refer to the file, which has no name by which it could be opened again."""
