"""Child processes that end with this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dev.remote.programs import find_program
from tools.core.errors import UserError

_GRACE_SECONDS = 10
_START_SECONDS = 60
_POLL_SECONDS = 0.05
_LINES = 5


@dataclass(frozen=True)
class Child:
    """A child process.

    Attributes:
        name: name of the process and its log.
        log: file with its standard output and standard error.
        process: the process.
        spare: whether the others can continue without it.
    """

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    spare: bool

    def check(self) -> None:
        """Raises a `UserError` if the process has ended."""
        status = self.process.poll()
        if status is not None:
            how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            lines = self.log.read_text(errors="replace").strip().splitlines()[-_LINES:]
            raise UserError(f"{self.name}: ended by {how}; {self.log} ends with: {' | '.join(lines)}")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Waits until the process is ready.

        Args:
            ready: returns whether it is.

        Raises:
            UserError: the process ended, or isn't ready after a minute.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise UserError(f"{self.name}: isn't ready after {_START_SECONDS} s; see {self.log}")
            time.sleep(_POLL_SECONDS)

    def end(self) -> None:
        """Ends the process and its process group: SIGTERM, then SIGKILL."""
        deadline = time.monotonic() + _GRACE_SECONDS
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Children:
    """A group of processes; ended in reverse order when the block ends, and also if this process is killed."""

    def __init__(self, logs: Path) -> None:
        """Creates a group; `logs` is the directory for its logs, which is created."""
        self.logs = logs
        self.all: list[Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        # Ignore further signals while the processes are ended.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for child in reversed(self.all):
            child.end()

    def start(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        spare: bool = False,
    ) -> Child:
        """Starts a process in its own session, so that it doesn't receive signals from the terminal.

        Args:
            name: name for its log and messages.
            command: program and arguments.
            user: user to run as; None for the user of this process.
            env: environment variables besides those of this process.
            spare: whether the others can continue without it.
        """
        # https://man7.org/linux/man-pages/man2/pr_set_pdeathsig.2const.html
        wrapper = [find_program("setpriv", "util-linux"), "--pdeathsig=TERM"]
        if user is not None:
            wrapper += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*wrapper, "--", *command],
                cwd="/",
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, log, process, spare)
        self.all.append(child)
        return child

    def watch(self, say: Callable[[str], None]) -> None:
        """Blocks until a required process, or the last spare one, has ended.

        Args:
            say: called with a message for each spare process that ended.

        Raises:
            UserError: always, when this happens.
        """
        gone: set[str] = set()
        spare = {child.name for child in self.all if child.spare}
        while True:
            for child in self.all:
                try:
                    child.check()
                except UserError as error:
                    if not child.spare or spare <= gone | {child.name}:
                        raise
                    if child.name not in gone:
                        gone.add(child.name)
                        say(str(error))
            time.sleep(_POLL_SECONDS)
