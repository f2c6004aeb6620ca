"""The process of the replica, in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from standins.problems import StandInError

_END_SECONDS = 10


class ReplicaProcess:
    """Runs at most one replica."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._arguments: tuple[str, ...] = ()

    @property
    def pid(self) -> int | None:
        """The process's ID; None if none runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def ensure(self, *arguments: str) -> None:
        """Starts the replica, unless it runs with these arguments.

        Raises:
            StandInError: it cannot be started.
        """
        if self.pid is not None and self._arguments == arguments:
            return
        self.end()
        try:
            self._process = subprocess.Popen([self._program, *arguments], process_group=0)
        except OSError as error:
            raise StandInError(f"{self._program}: {error.strerror}") from error
        self._arguments = arguments

    def end(self) -> None:
        """Ends the replica and its process group."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
