"""Text over HTTP, on IP addresses and on Unix sockets."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standins.problems import StandInError

Answer = Callable[[str], str | None]
"""Returns the text at a path; None if there is nothing."""

_SECONDS = 10
_FETCH_SECONDS = 60
"""Longer than what a replica needs that asks other services in turn."""
_MOST_BYTES = 1 << 20


class Server(ThreadingHTTPServer):
    """Serves texts on a socket that listens."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, answer: Answer) -> None:
        # A service may be permitted sockets of this family alone.
        self.address_family = listening.family
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = "", 0
        self.answer = answer

    def start(self) -> None:
        """Serves in the background, until the process ends."""
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30

    def do_GET(self) -> None:
        try:
            text = self.server.answer(self.path)
        except StandInError as error:
            self.send_error(500, str(error))
            return
        if text is None:
            self.send_error(404)
            return
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "client"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
        pass


def listen(address: tuple[str, int]) -> socket.socket:
    """Returns a socket that listens at an IP address and a port; at `::` for IPv4 as well.

    Raises:
        StandInError: it cannot.
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=64, dualstack_ipv6=address[0] == "::")
    except OSError as error:
        raise StandInError(f"{address[0]} port {address[1]}: cannot listen: {error.strerror}") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, what: str) -> str:
    """Returns the text that a service at a Unix socket has.

    Args:
        path: of the socket.
        what: path of the text.

    Raises:
        StandInError: it does not answer.
    """
    return _get(_UnixConnection(path), str(path), what)


def fetch(address: tuple[str, int], what: str) -> str:
    """Returns the text that a service at an IP address and a port has.

    Raises:
        StandInError: it does not answer.
    """
    return _get(http.client.HTTPConnection(*address, timeout=_FETCH_SECONDS), f"{address[0]} port {address[1]}", what)


def _get(connection: http.client.HTTPConnection, place: str, what: str) -> str:
    try:
        connection.request("GET", what)
        response = connection.getresponse()
        text = response.read(_MOST_BYTES).decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
        raise StandInError(f"{place}: does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise StandInError(f"{place}: {response.reason}")
    return text
