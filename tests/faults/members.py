"""A server of files that asks for a login, and the ways to give Bazel one."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOGIN = "login me password secret"
"""The login, as it stands in a netrc file after `machine NAME`."""

NETRC_SETTINGS = ("--repo_env=NETRC={home}/.netrc", "--repo_env=HOME={home}")
"""Flags of Bazel with which repository rules read the file `.netrc` in a folder."""


class _Members(SimpleHTTPRequestHandler):
    """Gives files only to who logs in."""

    expected = "Basic " + b64encode(b"me:secret").decode()

    def do_GET(self) -> None:
        if self.headers["Authorization"] == self.expected:
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *args: object) -> None:
        """Prints nothing."""


@contextmanager
def members_only(folder: Path) -> Iterator[int]:
    """Serves a directory on loopback to who logs in; yields the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Members, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
