"""An HTTP server on this machine that serves files as badly as a test asks for."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyServer:
    """Files by path, and what goes wrong with the next requests for each.

    Attributes:
        files: contents by path, such as `/a/b`.
        faults: by path, what happens to its next requests, in order; those after them are served well.
        requests: what was asked for: path and the header Range.
        url: of the server, without a slash at the end.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, str | None]] = []
        self.url = ""

    def paths(self) -> list[str]:
        """Returns the paths that were asked for, in order."""
        return [path for path, _ in self.requests]


class Exchange(BaseHTTPRequestHandler):
    """A request and its answer."""

    protocol_version = "HTTP/1.1"
    faulty: FaultyServer

    def do_GET(self) -> None:
        """Answers, with the next fault if there is one."""
        self.faulty.requests.append((self.path, self.headers.get("Range")))
        faults = self.faulty.faults[self.path]
        content = self.faulty.files.get(self.path)
        if faults:
            faults.pop(0)(self, content or b"")
        elif content is None:
            self.answer(404, b"no such file")
        else:
            self.serve(content)

    def serve(self, content: bytes) -> None:
        """Answers with a file, or the range of it that was asked for."""
        match = re.fullmatch("bytes=([0-9]+)-", self.headers.get("Range", ""))
        begin = int(match[1]) if match else 0
        if match and begin >= len(content):
            self.answer(416, b"", place=f"bytes */{len(content)}")
        elif match:
            place = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[begin:], place=place)
        else:
            self.answer(200, content)

    def answer(self, status: int, body: bytes, length: int | None = None, place: str | None = None) -> None:
        """Sends an answer.

        Args:
            status: its code.
            body: what follows the headers.
            length: how many bytes to announce; by default as many as there are. With it, the connection ends.
            place: for the header Content-Range.
        """
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if place is not None:
            self.send_header("Content-Range", place)
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


Fault = Callable[[Exchange, bytes], None]


def status(code: int) -> Fault:
    """Answers with an error."""
    return lambda exchange, _content: exchange.answer(code, b"error")


def ends_after(count: int) -> Fault:
    """Closes the connection after some bytes of what was asked for."""

    def fault(exchange: Exchange, content: bytes) -> None:
        match = re.fullmatch("bytes=([0-9]+)-", exchange.headers.get("Range", ""))
        begin = int(match[1]) if match else 0
        place = f"bytes {begin}-{len(content) - 1}/{len(content)}" if match else None
        rest = content[begin:]
        exchange.answer(206 if match else 200, rest[:count], length=len(rest), place=place)

    return fault


def resets(exchange: Exchange, _content: bytes) -> None:
    """Resets the connection without an answer."""
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.close_connection = True
    exchange.connection.close()


def instead(other: bytes) -> Fault:
    """Serves another file, as if all were well."""
    return lambda exchange, _content: exchange.serve(other)


def without_ranges(exchange: Exchange, content: bytes) -> None:
    """Sends the whole file, whatever was asked for."""
    exchange.answer(200, content)


def wrong_range(exchange: Exchange, content: bytes) -> None:
    """Sends another range than the one that was asked for."""
    exchange.answer(206, content[1:], place=f"bytes 1-{len(content) - 1}/{len(content)}")


@contextlib.contextmanager
def serving() -> Iterator[FaultyServer]:
    """Gives a server that runs while the block does."""
    faulty = FaultyServer()
    handler = type("_Exchange", (Exchange,), {"faulty": faulty})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        faulty.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield faulty
        finally:
            server.shutdown()
            thread.join()
