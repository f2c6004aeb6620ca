"""The SHA-256 of a file while it is written."""

from __future__ import annotations

import hashlib

from tools.image.extents import Buffer, FileRange
from tools.image.stream import zeros

_CHUNK = 1 << 20


class RunningDigest:
    """The SHA-256 of a file that is written from its start to its end, so that nobody has to read it again.

    What is added stands behind what was added before; the bytes between them are a hole, and count as zeros.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._position = 0

    def add(self, offset: int, data: Buffer) -> None:
        """Adds the bytes of the file from `offset` on."""
        self.pad(offset)
        self._digest.update(data)
        self._position = offset + len(data)

    def add_range(self, offset: int, source: FileRange, length: int) -> None:
        """Adds `length` bytes of another file, which are the bytes from `offset` on."""
        for done in range(0, length, _CHUNK):
            self.add(offset + done, source.read(done, min(_CHUNK, length - done)))

    def pad(self, size: int) -> None:
        """Adds zeros up to `size` bytes.

        Raises:
            ValueError: there are more bytes already.
        """
        if size < self._position:
            raise ValueError(f"byte {size} comes after byte {self._position} was added")
        for data in zeros(size - self._position):
            self._digest.update(data)
        self._position = size

    def digest(self) -> bytes:
        """Returns the SHA-256 of what was added, 32 bytes."""
        return self._digest.digest()
