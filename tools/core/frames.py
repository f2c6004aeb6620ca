"""Decompresses data that consists of any number of frames: zstd frames or xz streams.

The readers of `zstandard` and `lzma` take data that ends inside a frame, or that goes on with something else, for
complete. This one raises an error.
"""

from __future__ import annotations

import io
import lzma
from collections.abc import Callable
from typing import IO, Any, Protocol

import zstandard

_CHUNK = 1 << 12
"""Bytes to decompress at once. It bounds the memory: zstd makes at most 128 KiB of 4 bytes, so 128 MiB of a chunk."""


class _Frame(Protocol):
    """A decompressor of one frame."""

    @property
    def eof(self) -> bool:
        """Whether the frame's end was read."""

    @property
    def unused_data(self) -> bytes:
        """What follows the frame in the data that was given."""

    def decompress(self, data: bytes, /) -> bytes:
        """Returns what the next data of the frame decompresses to."""


class FrameReader(io.RawIOBase):
    """A file object with the decompressed contents of all frames.

    Reading raises an `EOFError` if the data ends inside a frame, and the error of the decompressor if it is damaged or
    something else follows a frame.
    """

    def __init__(self, source: IO[bytes], new_frame: Callable[[], _Frame]) -> None:
        """Reads `source`; `new_frame` returns a decompressor of one frame."""
        super().__init__()
        self._source = source
        self._new_frame = new_frame
        self._frame: _Frame | None = None
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            rest = self._frame.unused_data if self._frame and self._frame.eof else b""
            chunk = rest or self._source.read(_CHUNK)
            if self._frame is None or self._frame.eof:
                if not chunk:
                    return 0
                self._frame = self._new_frame()
            elif not chunk:
                raise EOFError("it ends inside a compressed frame; it is truncated")
            self._ready = memoryview(self._frame.decompress(chunk))
        view = memoryview(buffer)
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def zstd_reader(source: IO[bytes], max_window: int = 0) -> FrameReader:
    """Returns a reader of zstd frames (RFC 8878); `max_window` is the largest window in bytes, 0 for zstd's default."""
    return FrameReader(source, lambda: zstandard.ZstdDecompressor(max_window_size=max_window).decompressobj())


def xz_reader(source: IO[bytes], max_memory: int | None = None) -> FrameReader:
    """Returns a reader of xz streams; `max_memory` limits the memory of the decompressor in bytes."""
    return FrameReader(source, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=max_memory))
