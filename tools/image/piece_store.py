"""Compressed pieces that a process keeps for later, so that it compresses no piece twice."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading

from tools.image.compression import Encoder
from tools.image.extents import Buffer

_MOST = 512 << 20


class PieceStore:
    """Results of encoders, by the SHA-256 of what they are the result of; in a temporary file without a name.

    What comes out of an encoder with a store is what comes out of it without one.
    """

    def __init__(self, most: int = _MOST) -> None:
        """Makes an empty store.

        Args:
            most: size of the file in bytes. If it would become larger, the store begins anew.
        """
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the store
        self._most = most
        self._end = 0
        self._places: dict[bytes, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def remembering(self, encode: Encoder, name: str) -> Encoder:
        """Returns an encoder that asks the store before it works, thread-safe as `encode` is.

        Args:
            encode: the encoder; its result depends only on what it is given.
            name: of the encoder and all its parameters.
        """

        def encode_once(data: Buffer) -> Buffer:
            key = hashlib.sha256(name.encode() + b"\0")
            key.update(data)
            if (kept := self._get(key.digest())) is not None:
                return kept
            result = encode(data)
            self._put(key.digest(), result)
            return result

        return encode_once

    def _get(self, key: bytes) -> bytes | None:
        with self._lock:
            place = self._places.get(key)
            return None if place is None else os.pread(self._file.fileno(), place[1], place[0])

    def _put(self, key: bytes, data: Buffer) -> None:
        with self._lock:
            if self._end + len(data) > self._most:
                self._places.clear()
                self._end = 0
                self._file.truncate(0)
            written = 0
            while written < len(data):
                try:
                    written += os.pwrite(self._file.fileno(), data[written:], self._end + written)
                except OSError:  # no space is left; then this piece isn't kept
                    return
            self._places[key] = (self._end, len(data))
            self._end += len(data)
