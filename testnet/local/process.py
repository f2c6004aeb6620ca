"""Processes that go on after the program that started them: started, found again, ended.

The file of a process has its number, and when it started: the number alone may be that of another process by now. In
another container the number means nothing; so the process keeps the file locked as long as it runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.core.errors import UserError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = "/proc/self/ns/pid"
_GRACE_SECONDS = 10
_START_TIME = 19
"""Index of the start time among the fields of /proc/PID/stat after the name; its unit is a clock tick (proc(5))."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told from a later one with the same number.

    Attributes:
        pid: its number.
        started: when it started, in clock ticks since the boot.
        boot: identifies the boot of this machine.
        namespace: identifies the PID namespace, such as that of a container (namespaces(7)).
    """

    pid: int
    started: int
    boot: str
    namespace: int


def identify(pid: int) -> Identity | None:
    """Returns the identity of a process; None if there is none, or it has ended and nobody has asked how."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return Identity(pid, int(fields[_START_TIME]), _BOOT_ID.read_text().strip(), _namespace())


def _namespace() -> int:
    return os.stat(_NAMESPACE).st_ino


def find(file: Path) -> int | None:
    """Returns the number of the process that a file names; None if it has ended, or there is no such file.

    Raises:
        UserError: it runs in another container, so that it has no number here.
    """
    try:
        known = Identity(**json.loads(file.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if known.namespace != _namespace() and _is_locked(file):
        raise UserError(f"{file}: the process runs in another container; use the checkout that it was started from")
    return known.pid if identify(known.pid) == known else None


def _is_locked(file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def start(file: Path, log: Path, folder: Path, run: Callable[[Callable[[], None]], None]) -> None:
    """Starts a process in a session of its own, and returns when it is ready.

    Args:
        file: to write its identity to.
        log: gets its standard output and standard error.
        folder: its working directory.
        run: what it does, in a copy of this process. It calls its argument when it is ready, or executes a program.

    Raises:
        UserError: the process cannot be started.
    """
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _become(write_end, file, log, folder, run)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        try:
            problem = pipe.read().decode(errors="replace")
        except BaseException:
            # Interrupted: the process may run without having written its file.
            pipe.read()
            end(file, _GRACE_SECONDS)
            raise
        finally:
            os.waitpid(child, 0)
    if problem:
        end(file, _GRACE_SECONDS)
        raise UserError(f"{log}: the process cannot be started: {problem}")


def _become(pipe: int, file: Path, log: Path, folder: Path, run: Callable[[Callable[[], None]], None]) -> None:
    """Runs in the child of this process; its own child does the work, so that nobody has to wait for that one."""
    status = 1
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        _detach(pipe, log)
        os.chdir(folder)
        _write_locked(file)
        run(lambda: os.close(pipe))
        status = 0
    except BaseException as error:
        with contextlib.suppress(OSError):  # after its start nobody reads the pipe
            os.write(pipe, str(error).encode())
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _write_locked(file: Path) -> None:
    """Writes the identity of this process to a file, which stays open and locked, also when a program is executed."""
    identity = identify(os.getpid())
    assert identity is not None
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(asdict(identity)).encode("ascii"))


def _detach(pipe: int, log: Path) -> None:
    """Leaves the terminal and all open files but the pipe."""
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for descriptor, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, target)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != pipe:
            with contextlib.suppress(OSError):  # the folder itself is closed already
                os.close(int(name))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def end(file: Path, grace: float) -> bool:
    """Ends the process that a file names: by SIGTERM, and by SIGKILL after `grace` seconds; removes the file.

    Returns:
        Whether there was one.
    """
    pid = find(file)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                # The number may have been given to another process before it was opened.
                if find(file) == pid:
                    _signal_and_wait(descriptor, grace)
            finally:
                os.close(descriptor)
    file.unlink(missing_ok=True)
    return pid is not None


def _signal_and_wait(descriptor: int, grace: float) -> None:
    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    if not select.select([descriptor], [], [], grace)[0]:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [])


def wait_end(file: Path, timeout: float) -> bool:
    """Waits until the process that a file names has ended; returns whether it has."""
    deadline = time.monotonic() + timeout
    while (pid := find(file)) is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                select.select([descriptor], [], [], left)
            finally:
                os.close(descriptor)
    return True
