"""Programs that run as long as this process wants, and no longer."""

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
    """A program that was started.

    Attributes:
        name: what its log is called.
        log: what it says, on either of its outputs.
        process: the program's.
        spare: whether the others can go on without it.
    """

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    spare: bool

    def check(self) -> None:
        """Raises a UserError if the program has ended."""
        status = self.process.poll()
        if status is not None:
            how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            lines = self.log.read_text(errors="replace").strip().splitlines()[-_LINES:]
            raise UserError(f"{self.name}: ended by {how}; {self.log} ends with: {' | '.join(lines)}")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Waits for a condition that the program brings about.

        Raises:
            UserError: it ended instead, or did nothing for a minute.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise UserError(f"{self.name}: isn't ready after {_START_SECONDS} s; see {self.log}")
            time.sleep(_POLL_SECONDS)

    def end(self) -> None:
        """Ends the program and what it started."""
        deadline = time.monotonic() + _GRACE_SECONDS
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Children:
    """The programs; they are ended, the last one first, when the block ends, and also when this process is killed."""

    def __init__(self, logs: Path) -> None:
        """Keeps logs in a folder, which is made."""
        self.logs = logs
        self.all: list[Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        # Whatever comes while they end, they end.
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
        """Starts a program with a process group of its own, so that keys of a terminal don't reach it.

        Args:
            name: for its log, and messages.
            command: program and arguments.
            user: whom it runs as; None for the user of this process.
            env: variables besides those of this process.
            spare: whether the others can go on without it.
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
        """Returns never.

        Args:
            say: is told once of each spare program that ended.

        Raises:
            UserError: a program that the others need has ended, or the last of the spare ones.
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
