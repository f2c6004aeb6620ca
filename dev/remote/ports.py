"""Ports of the loopback interface."""

from __future__ import annotations

import socket

from tools.core.errors import UserError

HOST = "127.0.0.1"


def choose_port(port: int) -> int:
    """Returns a port on which a server can listen.

    Args:
        port: the requested port; 0 for any free one.

    Raises:
        UserError: the port is in use.
    """
    with socket.socket() as probe:
        # As servers do, so that recently closed connections don't matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port={port}: cannot be listened on: {error.strerror}; choose another one") from error
        chosen: int = probe.getsockname()[1]
    return chosen


def listens(port: int) -> bool:
    """Returns whether a port accepts connections."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
