#!/usr/bin/python3 -IB
"""The reference replica: it takes the place of the replica in tests, and is not part of the Internet Computer.

It serves, by HTTP on IPv4 and IPv6:

    GET /status   a JSON object: {"status": "healthy", "version": …, "implementation": …, "uptime_seconds": …}
    GET /version  the version, as text
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

IMPLEMENTATION = "reference payload: not a replica of the Internet Computer"
VERSION_FILE = "/opt/ic/share/version.txt"


class Server(ThreadingHTTPServer):
    """An HTTP server on one port of IPv6 and IPv4."""

    address_family = socket.AF_INET6
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, version: str) -> None:
        """Starts to listen.

        Args:
            port: the TCP port; 0 for a free one.
            version: the version to serve.
        """
        self.version = version
        self.started = time.monotonic()
        super().__init__(("::", port), _Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def status(self) -> dict[str, object]:
        """Returns the object that /status serves."""
        return {
            "status": "healthy",
            "version": self.version,
            "implementation": IMPLEMENTATION,
            "uptime_seconds": int(time.monotonic() - self.started),
        }


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "reference-replica"
    timeout = 30

    def do_GET(self) -> None:
        if self.path == "/status":
            self._send("application/json", json.dumps(self.server.status(), sort_keys=True) + "\n")
        elif self.path == "/version":
            self._send("text/plain; charset=utf-8", self.server.version + "\n")
        else:
            self.send_error(404, "only /status and /version exist")

    def _send(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
        if not self.path.startswith("/status"):
            super().log_message(format, *args)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until a signal ends the process."""
    parser = argparse.ArgumentParser(prog="replica", description=f"The {IMPLEMENTATION}.")
    parser.add_argument("--port", type=int, default=8080, help="TCP port of the HTTP server (default: %(default)s)")
    parser.add_argument("--version-file", default=VERSION_FILE, help="file with the version (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        version = Path(options.version_file).read_text(encoding="utf-8").strip()
        server = Server(options.port, version)
    except OSError as error:
        print(f"replica: {error}", file=sys.stderr)
        return 1
    print(f"replica {version}: {IMPLEMENTATION}; listening on port {server.server_port}", flush=True)
    with server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
