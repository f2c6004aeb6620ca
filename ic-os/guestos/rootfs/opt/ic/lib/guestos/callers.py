"""For services that run a program on behalf of a caller, which is connected to them."""

from __future__ import annotations

import os
import select
import socket


def ends_first(pid: int, connection: socket.socket) -> bool:
    """Waits until a child process or its caller ends; returns whether the child did. It is still to be waited for.

    Args:
        pid: of the child.
        connection: from the caller, which sends nothing more.
    """
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(connection, select.POLLIN)
        return ended in dict(poll.poll())
    finally:
        os.close(ended)
