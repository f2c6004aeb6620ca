"""The sockets that systemd passes to a service (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket

from standins.problems import StandInError

_FIRST = 3


def activated_sockets(unit: str) -> list[socket.socket]:
    """Returns the two sockets of a socket unit: for requests, and for metrics.

    Args:
        unit: name of the socket unit, which both must have as their name.

    Raises:
        StandInError: the environment has another number of sockets, other names, or another process.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise StandInError(f"LISTEN_PID={os.environ.get('LISTEN_PID', '')}: no sockets are passed to this process")
    if os.environ.get("LISTEN_FDS") != "2":
        raise StandInError(
            f"LISTEN_FDS={os.environ.get('LISTEN_FDS', '')}: expected 2 sockets: for requests, and for metrics"
        )
    names, expected = os.environ.get("LISTEN_FDNAMES", ""), f"{unit}:{unit}"
    if names != expected:
        raise StandInError(f"LISTEN_FDNAMES={names}: expected {expected}")
    sockets = [socket.socket(fileno=number) for number in (_FIRST, _FIRST + 1)]
    for each in sockets:
        if each.family != socket.AF_UNIX or not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise StandInError(f"descriptor {each.fileno()}: is not a Unix socket that listens")
    return sockets
