"""Reads a file or standard input as a stream of bytes, and decompresses it if its first bytes show gzip or zstd.

What is compressed has no signature yet: that of the manifest is inside. So a program decompresses it that runs as
nobody, without capabilities, in bounded memory, and can write no file and start no process or thread. zstd's window is
limited as well (RFC 8878, section 3.1.1.1.2).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Protocol

from guestos.errors import GuestError, ImageError
from guestos.regular_file import open_regular

STDIN = "-"

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP = ("/usr/bin/gzip", "-dcq")
_ZSTD = ("/usr/bin/zstd", "-dcq", "--single-thread", "--no-asyncio", "--memory=16MiB")
_LIMITS = ("/usr/bin/prlimit", f"--as={256 << 20}", "--fsize=0", "--core=0", "--nproc=0", "--nofile=16", "--")
_WITHOUT_RIGHTS = ("/usr/bin/setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
_NOBODY = 65534
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
        command = _GZIP if head.startswith(_GZIP_MAGIC) else _ZSTD if head == _ZSTD_MAGIC else None
        if command is None:
            yield source
        else:
            decompressor = _Decompressor(source, command)
            cleanup.callback(decompressor.close)
            yield decompressor


def _open(path: str, cleanup: contextlib.ExitStack) -> BinaryIO:
    if path == STDIN:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    return cleanup.enter_context(open(open_regular(path), "rb", buffering=0))


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


def _confined(command: Sequence[str]) -> list[str]:
    """Returns the command that runs another one with the least rights that the user of this process can give it."""
    wrapper = list(_WITHOUT_RIGHTS)
    if os.geteuid() != 0:
        wrapper = wrapper[:2]  # there are no capabilities to drop
    elif _is_mapped(_NOBODY):
        wrapper += [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    return [*wrapper, "--", *_LIMITS, *command]


def _is_mapped(user: int) -> bool:
    """Returns whether a user exists in the user namespace; in that of a machine all do, in those of sandboxes few."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(first <= user < first + count for first, _, count in ranges)


class _Decompressor:
    def __init__(self, source: _Source, command: Sequence[str]) -> None:
        self._source = source
        self._problem: GuestError | None = None
        try:
            self._process = subprocess.Popen(
                _confined(command),
                cwd="/",
                env={},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            raise GuestError(f"{command[0]}: cannot be run: {error.strerror}") from error
        # A daemon, and never joined: it may block forever on an input that delivers nothing more.
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        try:
            # A broken pipe means that the program failed, which its standard error explains, or that `close` ended it.
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
