"""Reads a file or standard input as a stream of bytes, and decompresses it if its first bytes show gzip or zstd.

Memory is bounded for any input: gzip is decompressed in steps of bounded size (RFC 1952; several members may follow
each other), and zstd by the program of that name, with a limit for the window (RFC 8878, section 3.1.1.1.2).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from guestos.errors import GuestError, ImageError

STDIN = "-"

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD = ("/usr/bin/zstd", "-dcq", "--single-thread", "--memory=16MiB")
_CHUNK = 1 << 18


class Stream(Protocol):
    """A stream of bytes that is read once, from its start to its end."""

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes; fewer only at the end of the stream.

        Raises:
            ImageError: the stream is damaged or truncated.
            GuestError: the input cannot be read.
        """


@contextlib.contextmanager
def open_stream(path: str) -> Iterator[Stream]:
    """Opens a file, or standard input for `-`, and yields its content, decompressed.

    Raises:
        ImageError: the input is empty.
        GuestError: it cannot be read.
    """
    with contextlib.ExitStack() as cleanup:
        source = _Source(_open(path, cleanup), "standard input" if path == STDIN else path)
        head = source.peek(4)
        if not head:
            raise ImageError(f"{source.name}: is empty")
        if head.startswith(_GZIP_MAGIC):
            yield _Gzip(source)
        elif head == _ZSTD_MAGIC:
            zstd = _Zstd(source)
            cleanup.callback(zstd.close)
            yield zstd
        else:
            yield source


def _open(path: str, cleanup: contextlib.ExitStack) -> BinaryIO:
    if path == STDIN:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    try:
        return cleanup.enter_context(open(path, "rb", buffering=0))
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error


class _Source:
    """The input without decompression."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._head = b""
        self.name = name

    def peek(self, size: int) -> bytes:
        self._head = self.read(size)
        return self._head

    def some(self) -> bytes:
        """Returns the next bytes, as many as one read gives; empty at the end of the input."""
        if self._head:
            head, self._head = self._head, b""
            return head
        try:
            return self._file.read(_CHUNK)
        except OSError as error:
            raise GuestError(f"{self.name}: cannot be read: {error.strerror}") from error

    def read(self, size: int) -> bytes:
        return _gather(self._bounded, size)

    def _bounded(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        try:
            return self._file.read(size)
        except OSError as error:
            raise GuestError(f"{self.name}: cannot be read: {error.strerror}") from error


def _gather(read: Callable[[int], bytes], size: int) -> bytes:
    """Calls a function that returns up to the given number of bytes until `size` bytes are there, or the input ends."""
    data = read(size)
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (data := read(missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


class _Gzip:
    def __init__(self, source: _Source) -> None:
        self._source = source
        self._member = _new_member()
        self._started = False
        self._input = b""

    def read(self, size: int) -> bytes:
        return _gather(self._some, size)

    def _some(self, size: int) -> bytes:
        while True:
            if not self._input:
                self._input = self._source.some()
            if not self._input:
                if self._started:
                    raise ImageError(f"{self._source.name}: is truncated: its gzip stream has no end")
                return b""
            self._started = True
            try:
                data = self._member.decompress(self._input, size)
            except zlib.error as error:
                raise ImageError(f"{self._source.name}: is damaged: {error}") from error
            self._input = self._member.unconsumed_tail
            if self._member.eof:
                self._input = self._member.unused_data
                self._member = _new_member()
                self._started = False
            if data:
                return data


def _new_member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


class _Zstd:
    def __init__(self, source: _Source) -> None:
        self._source = source
        self._problem: GuestError | None = None
        try:
            self._process = subprocess.Popen(
                _ZSTD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
            )
        except OSError as error:
            raise GuestError(f"{_ZSTD[0]}: cannot be run: {error.strerror}") from error
        # A daemon, and never joined: it may block forever on an input that delivers nothing more.
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        try:
            # A broken pipe means that zstd failed, which its standard error explains, or that `close` ended it.
            with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
                while data := self._source.some():
                    view = memoryview(data)
                    while view:
                        view = view[os.write(stdin.fileno(), view) :]
        except GuestError as error:
            self._problem = error

    def read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = _gather(self._process.stdout.read, size)
        if len(data) < size:
            self._check_end()
        return data

    def _check_end(self) -> None:
        assert self._process.stderr is not None
        said = self._process.stderr.read(_CHUNK).decode(errors="replace").strip()
        if self._process.wait() != 0 or self._problem is not None:
            if self._problem is not None:
                raise self._problem
            raise ImageError(f"{self._source.name}: is damaged or truncated: {' '.join(said.split())}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
