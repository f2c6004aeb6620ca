"""A client for the QEMU Machine Protocol (QMP).

See QEMU documentation, "QEMU Machine Protocol Specification": messages are JSON values, one per line. QEMU sends a
greeting, then responses to commands in order, with asynchronous events between them.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from tools.core.errors import UserError


class QmpError(UserError):
    """QEMU rejected a command, or did not respond."""


class Qmp:
    """A connection to QEMU's monitor through a stream socket."""

    def __init__(self, connection: socket.socket, timeout: float = 30) -> None:
        """Waits for QEMU's greeting, and enters command mode.

        Args:
            connection: the socket; `close` closes it.
            timeout: timeout for each response, in seconds.

        Raises:
            QmpError: QEMU sent no greeting.
        """
        self._connection = connection
        self._timeout = timeout
        self._received = b""
        self._events: list[dict[str, Any]] = []
        if "QMP" not in self._receive(time.monotonic() + timeout, "its greeting"):
            raise QmpError("QEMU: does not speak the machine protocol")
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """Runs a command and returns its result.

        Args:
            command: name of the command, such as `system_reset`.
            **arguments: its arguments; `_` in their names is replaced by `-`.

        Raises:
            QmpError: QEMU rejects the command, ends, or does not respond in time.
        """
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"QEMU: {command}: it has ended: {error.strerror}") from error
        deadline = time.monotonic() + self._timeout
        while True:
            message = self._receive(deadline, f"an answer to {command}")
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(f"QEMU: {command}: {message['error'].get('desc', message['error'])}")
            self._events.append(message)

    def wait_event(self, name: str, timeout: float) -> dict[str, Any]:
        """Waits for an event; removes it and all earlier events from the queue.

        Args:
            name: name of the event, such as `RESET`, `SHUTDOWN` or `WATCHDOG`.
            timeout: timeout in seconds.

        Returns:
            The data of the event.

        Raises:
            QmpError: the timeout expired, or QEMU ended.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self._events:
                event = self._events.pop(0)
                if event.get("event") == name:
                    data: dict[str, Any] = event.get("data", {})
                    return data
            self._events.append(self._receive(deadline, f"the event {name}"))

    def close(self) -> None:
        """Closes the socket."""
        self._connection.close()

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        """Returns the next message."""
        while b"\n" not in self._received:
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._connection.recv(1 << 16)
            except TimeoutError as error:
                raise QmpError(f"QEMU: did not send {what} in time") from error
            except OSError as error:
                raise QmpError(f"QEMU: ended before it sent {what}: {error.strerror}") from error
            if not data:
                raise QmpError(f"QEMU: ended before it sent {what}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
