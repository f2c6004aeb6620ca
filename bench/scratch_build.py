"""Builds targets in a scratch copy of the checkout, by a Bazel server of its own, and counts the processor time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import UserError

SERVER = "Bazel's server"
OTHERS = "programs that ended"
_TICKS = os.sysconf("SC_CLK_TCK")
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_COMMAND = re.compile(rb"tools/commands/(\w+)")


@dataclass(frozen=True)
class Build:
    """What a build took.

    Attributes:
        wall: seconds until Bazel's client ended.
        cpu: processor time in seconds, by what used it: SERVER, the name of a command that Bazel keeps running, OTHERS.
    """

    wall: float
    cpu: dict[str, float]

    @property
    def cpu_total(self) -> float:
        """The processor time of all."""
        return sum(self.cpu.values())


@dataclass(frozen=True)
class ScratchBuild:
    """A copy of a checkout, and Bazel's output base for it.

    Attributes:
        checkout: the copy, which may be changed.
        output_base: of the server; downloads are shared with the user's servers.
        flags: of each build.
    """

    checkout: Path
    output_base: Path
    flags: Sequence[str]

    def build(self, *arguments: str) -> Build:
        """Builds targets.

        Raises:
            UserError: the build failed; the message has what Bazel said.
        """
        before, begin = self._cpu(), time.monotonic()
        self._bazel("build", "--color=no", "--curses=no", "--disk_cache=", *self.flags, *arguments)
        wall, after = time.monotonic() - begin, self._cpu()
        return Build(wall, {name: max(seconds - before.get(name, 0), 0) for name, seconds in after.items()})

    def run(self, target: str, *arguments: str) -> float:
        """Builds a program and runs it; returns the seconds until it ended.

        Raises:
            UserError: the build or the program failed; the message has what they said.
        """
        begin = time.monotonic()
        self._bazel("run", "--color=no", "--curses=no", "--disk_cache=", *self.flags, target, "--", *arguments)
        return time.monotonic() - begin

    def bin(self) -> Path:
        """Returns the directory of outputs."""
        return Path(self._bazel("info", *self.flags, "bazel-bin").splitlines()[-1])

    def peak_memory(self) -> dict[str, int]:
        """Returns the peak memory in bytes of the commands that Bazel keeps running; see `peak_of`."""
        server = int((self.output_base / "server/server.pid.txt").read_text())
        running = dict(processes())
        found: dict[str, int] = {}
        for name, pid in commands_of(server, running):
            found[name] = max(found.get(name, 0), peak_of(pid, running))
        return found

    def shut_down(self) -> None:
        """Stops the server."""
        self._bazel("shutdown")

    def _bazel(self, command: str, *arguments: str) -> str:
        bazel = ["bazel", f"--output_base={self.output_base}", command, *arguments]
        done = subprocess.run(bazel, cwd=self.checkout, capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise UserError(f"{' '.join(bazel)} in {self.checkout} failed with {done.returncode}: {said}")
        return done.stdout

    def _cpu(self) -> dict[str, float]:
        """Returns the processor time of the server and of what it started; none before it is started."""
        try:
            server = int((self.output_base / "server/server.pid.txt").read_text())
        except FileNotFoundError:
            return {}
        running = dict(processes())
        if server not in running:
            return {}
        found = {SERVER: running[server].own, OTHERS: running[server].ended}
        for name, pid in commands_of(server, running):
            found[name] = found.get(name, 0) + whole(pid, running)
        return found


@dataclass(frozen=True)
class Process:
    """A process: its parent, its command line, and the seconds that it, and its children that ended, have used."""

    parent: int
    command: bytes
    own: float
    ended: float


def processes() -> Iterator[tuple[int, Process]]:
    """Yields the processes that run, by their numbers: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        user, system, ended_user, ended_system = (int(field) / _TICKS for field in fields[11:15])
        yield int(folder.name), Process(int(fields[1]), command, user + system, ended_user + ended_system)


def whole(pid: int, running: dict[int, Process]) -> float:
    """Returns the processor time of a process and of all that it started."""
    children = (number for number, process in running.items() if process.parent == pid)
    return running[pid].own + running[pid].ended + sum(whole(child, running) for child in children)


def commands_of(server: int, running: dict[int, Process]) -> Iterator[tuple[str, int]]:
    """Yields the name and the number of each command that a server of Bazel keeps running."""
    for pid, process in running.items():
        if process.parent == server and (command := _COMMAND.search(process.command)):
            yield command[1].decode(), pid


def peak_of(pid: int, running: dict[int, Process]) -> int:
    """Returns the peak resident memory in bytes of the largest of a process and all that it started and that still run.

    https://man7.org/linux/man-pages/man5/proc_pid_status.5.html has it as VmHWM.
    """
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        found = None
    children = (peak_of(number, running) for number, process in running.items() if process.parent == pid)
    return max(int(found[1]) << 10 if found else 0, *children, 0)


@contextmanager
def scratch_build(checkout: Path, folder: Path, flags: Sequence[str]) -> Iterator[ScratchBuild]:
    """Copies the files of a checkout, but for ignored ones, into `folder`; stops the server at the end of the context.

    Outputs that are in the folder from an earlier run are used again.

    Raises:
        UserError: the checkout is none of git.
    """
    command = ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=False)
    if listed.returncode:
        raise UserError(f"{checkout}: git can't list its files: {listed.stderr.decode(errors='replace').strip()}")
    copy = folder / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        if os.path.lexists(checkout / name):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, copy / name, follow_symlinks=False)
    made = ScratchBuild(copy, folder / "output-base", flags)
    try:
        yield made
    finally:
        made.shut_down()
