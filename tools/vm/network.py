"""Accesses a machine's ports through QEMU's user-mode network."""

from __future__ import annotations

import re
import socket

from tools.core.errors import UserError
from tools.vm.machine import Machine

_FORWARD = re.compile(r"^\s*TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)\s", re.MULTILINE)


def forwarded_port(machine: Machine, port: int) -> int:
    """Returns the port of 127.0.0.1 that QEMU chose for the forwarding to a port of the machine.

    Args:
        machine: a machine with a forwarding from port 0.
        port: port of the machine.

    Raises:
        UserError: no port is forwarded to it.
    """
    text = machine.qmp.execute("human-monitor-command", command_line="info usernet")
    for host, guest in _FORWARD.findall(text):
        if int(guest) == port:
            return int(host)
    raise UserError(f"QEMU: forwards no port to port {port} of the machine:\n{text}")


def greeting(port: int, timeout: float) -> bytes:
    """Returns the first bytes that a service at a port of 127.0.0.1 sends after the connection.

    Empty if the connection is refused or closed, or if nothing is received in `timeout` seconds.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(256)
    except OSError:
        return b""
