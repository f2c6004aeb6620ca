"""The QEMU Machine Protocol: commands to a running QEMU, and what it reports.

Protocol: QEMU documentation, "QEMU Machine Protocol Specification": one JSON value a line, a greeting first, then
commands are answered in order, with events between the answers.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from tools.core.errors import UserError


class QmpError(UserError):
    """QEMU refused a command, or does not answer."""


class Qmp:
    """One end of a stream socket whose other end is QEMU's monitor."""

    def __init__(self, connection: socket.socket, timeout: float = 30) -> None:
        """Waits for QEMU's greeting and enters command mode.

        Args:
            connection: the socket; this object closes it.
            timeout: the limit for every answer, in seconds.

        Raises:
            QmpError: QEMU does not greet.
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
            command: its name, such as `system_reset`.
            **arguments: its arguments; `_` in their names stands for `-`.

        Raises:
            QmpError: QEMU refuses it, ends, or does not answer in time.
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
        """Waits for an event, and forgets it and those before it.

        Args:
            name: such as `RESET`, `SHUTDOWN` or `WATCHDOG`.
            timeout: the limit in seconds.

        Returns:
            The event's data.

        Raises:
            QmpError: the limit passed, or QEMU ended.
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
