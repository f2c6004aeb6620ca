"""A local HTTP server that serves files with the faults that a test selects."""

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
    """The server's files, and the faults of the next requests.

    Attributes:
        files: contents by path, such as `/a/b`.
        faults: by path, the faults of its next requests, in order; later requests are served without a fault.
        requests: path and `Range` header of each request.
        url: the server's URL, without a trailing slash.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, str | None]] = []
        self.url = ""

    def paths(self) -> list[str]:
        """Returns the paths of the requests, in order."""
        return [path for path, _ in self.requests]


class Exchange(BaseHTTPRequestHandler):
    """Handles a request."""

    protocol_version = "HTTP/1.1"
    faulty: FaultyServer

    def do_GET(self) -> None:
        """Responds to a GET request, with the next fault of its path if there is one."""
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
        """Sends a file, or the requested range of it (RFC 9110, section 14)."""
        match = re.fullmatch("bytes=([0-9]+)-", self.headers.get("Range", ""))
        begin = int(match[1]) if match else 0
        if match and begin >= len(content):
            self.answer(416, b"", content_range=f"bytes */{len(content)}")
        elif match:
            content_range = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[begin:], content_range=content_range)
        else:
            self.answer(200, content)

    def answer(self, status: int, body: bytes, length: int | None = None, content_range: str | None = None) -> None:
        """Sends a response.

        Args:
            status: the status code.
            body: the content.
            length: value of `Content-Length`, by default the size of `body`. If given, the connection is closed after
                the response.
            content_range: value of `Content-Range`.
        """
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


Fault = Callable[[Exchange, bytes], None]


def status(code: int) -> Fault:
    """Responds with an error status."""
    return lambda exchange, _content: exchange.answer(code, b"error")


def ends_after(count: int) -> Fault:
    """Closes the connection after `count` bytes of the requested content."""

    def fault(exchange: Exchange, content: bytes) -> None:
        match = re.fullmatch("bytes=([0-9]+)-", exchange.headers.get("Range", ""))
        begin = int(match[1]) if match else 0
        content_range = f"bytes {begin}-{len(content) - 1}/{len(content)}" if match else None
        rest = content[begin:]
        exchange.answer(206 if match else 200, rest[:count], length=len(rest), content_range=content_range)

    return fault


def resets(exchange: Exchange, _content: bytes) -> None:
    """Resets the connection without a response."""
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.close_connection = True
    exchange.connection.close()


def instead(other: bytes) -> Fault:
    """Serves the content of another file without an error."""
    return lambda exchange, _content: exchange.serve(other)


def without_ranges(exchange: Exchange, content: bytes) -> None:
    """Sends the whole file even if a range is requested."""
    exchange.answer(200, content)


def wrong_range(exchange: Exchange, content: bytes) -> None:
    """Sends another range than the requested one."""
    exchange.answer(206, content[1:], content_range=f"bytes 1-{len(content) - 1}/{len(content)}")


@contextlib.contextmanager
def serving() -> Iterator[FaultyServer]:
    """Yields a running server; stops it at the end of the `with` block."""
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
