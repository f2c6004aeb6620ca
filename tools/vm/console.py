"""Reads the serial console of a virtual machine, and waits for patterns in its output with a timeout."""

from __future__ import annotations

import codecs
import contextlib
import re
import socket
import threading
import time
from typing import BinaryIO

from tools.core.errors import UserError

_ESCAPE = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]"  # control sequences: ECMA-48, section 5.4
    "|[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)"  # control strings: section 5.6; in terminals BEL ends them, too
    "|[ -/]*[0-OQ-WYZ`-~])"
)
_UNFINISHED_ESCAPE = re.compile("\x1b(?:\\[[0-?]*[ -/]*|[]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\\Z")
_DROPPED = str.maketrans("", "", "\r\0")

_LONGEST_MATCH = 4096
"""Maximum length of a match in characters; a match may start in text that was searched before."""


class ConsoleError(UserError):
    """The expected output did not appear; the message ends with the last lines of the console."""


class Console:
    """The console of a virtual machine, connected to its serial port by a stream socket.

    A thread reads continuously, so that the machine is never blocked. Terminal control sequences and carriage returns
    are removed from the text, but not from the log.
    """

    def __init__(self, connection: socket.socket, log: BinaryIO | None = None) -> None:
        """Starts reading.

        Args:
            connection: the socket; the console closes it.
            log: file for all bytes, unmodified and flushed immediately.
        """
        self._connection = connection
        self._log = log
        self._changed = threading.Condition()
        self._text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._position = 0
        self._closed = False
        self._reader = threading.Thread(target=self._read, name="console", daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All output so far."""
        with self._changed:
            return self._text

    def tail(self, lines: int = 15) -> str:
        """Returns the last lines of the output."""
        return "\n".join(self.text.rstrip().split("\n")[-lines:])

    def write(self, text: str) -> None:
        """Sends text as input.

        Raises:
            ConsoleError: the machine has ended.
        """
        try:
            self._connection.sendall(text.encode())
        except OSError as error:
            raise ConsoleError(f"console: cannot write: {error.strerror}{self._context()}") from error

    def expect(self, pattern: str, timeout: float, what: str = "") -> re.Match[str]:
        """Waits for a pattern in the output after the previous match, and returns the match.

        Args:
            pattern: regular expression in multi-line mode; a match has at most 4096 characters.
            timeout: timeout in seconds.
            what: name of the pattern in messages; by default the pattern itself.

        Raises:
            ConsoleError: the timeout expired, or the machine ended.
        """
        compiled = re.compile(pattern, re.MULTILINE)
        wanted = what or repr(pattern)
        deadline = time.monotonic() + timeout
        searched = 0
        with self._changed:
            while True:
                # Don't search old text again, except for the start of a match that ends in new text.
                start = max(self._position, searched - _LONGEST_MATCH)
                if match := compiled.search(self._text, start):
                    self._position = match.end()
                    return match
                searched = len(self._text)
                left = deadline - time.monotonic()
                if self._closed:
                    raise ConsoleError(f"console: the machine ended before it showed {wanted}{self._context()}")
                if left <= 0:
                    raise ConsoleError(f"console: no {wanted} within {timeout:g} s{self._context()}")
                self._changed.wait(left)

    def close(self) -> None:
        """Closes the socket; the output so far remains available."""
        with contextlib.suppress(OSError):  # the other end may be closed already
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._connection.close()

    def _context(self) -> str:
        return f"; it ended with:\n{self.tail()}"

    def _read(self) -> None:
        while True:
            try:
                data = self._connection.recv(1 << 16)
            except OSError:
                data = b""
            with self._changed:
                if data:
                    self._take(data)
                else:
                    self._closed = True
                self._changed.notify_all()
            if not data:
                return

    def _take(self, data: bytes) -> None:
        if self._log is not None:
            self._log.write(data)
            self._log.flush()
        pending = self._pending + self._decoder.decode(data)
        unfinished = _UNFINISHED_ESCAPE.search(pending)
        end = unfinished.start() if unfinished else len(pending)
        self._text += _ESCAPE.sub("", pending[:end]).translate(_DROPPED)
        self._pending = pending[end:]
