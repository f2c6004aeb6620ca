"""A serial console: keeps all that it shows, and waits for patterns in it with a time limit."""

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
    "|[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)"  # control strings: section 5.6; terminals let BEL end them, too
    "|[ -/]*[0-OQ-WYZ`-~])"
)
_UNFINISHED_ESCAPE = re.compile("\x1b(?:\\[[0-?]*[ -/]*|[]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\\Z")
_DROPPED = str.maketrans("", "", "\r\0")

_LONGEST_MATCH = 4096
"""How far back a pattern may have begun in text that was searched before, in characters."""


class ConsoleError(UserError):
    """The console did not show what was waited for; the message ends with the last lines that it did show."""


class Console:
    """One end of a stream socket whose other end is a virtual machine's serial port.

    A thread reads all the time, so that the machine never waits for us. Terminal control sequences and carriage
    returns are taken out of the text, and stay in the log.
    """

    def __init__(self, connection: socket.socket, log: BinaryIO | None = None) -> None:
        """Starts to read.

        Args:
            connection: the socket; the console closes it.
            log: gets every byte as it came, written at once.
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
        """All that was shown so far."""
        with self._changed:
            return self._text

    def tail(self, lines: int = 15) -> str:
        """Returns the last lines that were shown."""
        return "\n".join(self.text.rstrip().split("\n")[-lines:])

    def write(self, text: str) -> None:
        """Types text.

        Raises:
            ConsoleError: nobody reads it any more.
        """
        try:
            self._connection.sendall(text.encode())
        except OSError as error:
            raise ConsoleError(f"console: cannot write: {error.strerror}{self._context()}") from error

    def expect(self, pattern: str, timeout: float, what: str = "") -> re.Match[str]:
        """Waits until the console shows a pattern, after what was matched before, and returns the match.

        Args:
            pattern: a regular expression, with `^` and `$` at lines; its match has at most 4096 characters.
            timeout: the limit in seconds.
            what: what to call it in messages; the pattern itself where it is empty.

        Raises:
            ConsoleError: the limit passed, or the machine ended.
        """
        compiled = re.compile(pattern, re.MULTILINE)
        wanted = what or repr(pattern)
        deadline = time.monotonic() + timeout
        searched = 0
        with self._changed:
            while True:
                # What was searched before is not searched again, but for a match that ends in new text.
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
        """Closes the socket; what was read stays."""
        with contextlib.suppress(OSError):  # the other end may have closed first
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
