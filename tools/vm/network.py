"""QEMU's own network, as seen from the host."""

from __future__ import annotations

import re
import socket

from tools.core.errors import UserError
from tools.vm.machine import Machine

_FORWARD = re.compile(r"^\s*TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)\s", re.MULTILINE)


def forwarded_port(machine: Machine, port: int) -> int:
    """Returns the port of 127.0.0.1 that leads to a port of the machine, where QEMU was left to choose it.

    Args:
        machine: one with a forward from port 0.
        port: the machine's port.

    Raises:
        UserError: nothing leads there.
    """
    text = machine.qmp.execute("human-monitor-command", command_line="info usernet")
    for host, guest in _FORWARD.findall(text):
        if int(guest) == port:
            return int(host)
    raise UserError(f"QEMU: forwards no port to port {port} of the machine:\n{text}")


def greeting(port: int, timeout: float) -> bytes:
    """Returns the first bytes that a service behind a port of 127.0.0.1 sends by itself.

    Nothing where the connection is refused or ended, or where nothing comes in `timeout` seconds.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(256)
    except OSError:
        return b""
