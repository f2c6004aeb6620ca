"""Runs commands, and measures time and memory."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import UserError

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a benchmark.

    Attributes:
        name: name in the report.
        command: program and arguments.
        stdin: file for standard input, relative to the working directory of the command.
    """

    name: str
    command: Sequence[str]
    stdin: str = os.devnull


@dataclass(frozen=True, slots=True)
class Measure:
    """The resources that a command used.

    Attributes:
        wall: wall time in seconds.
        cpu: user and system CPU time in seconds.
        memory: peak resident memory of its largest process, in bytes; at least that of this process, some 20 MiB, since
            Linux counts what a process has before it executes a program.
    """

    wall: float
    cpu: float
    memory: int


def tool_command(name: str, *flags: str) -> list[str]:
    """Returns the command line for a command of tools/commands, with this interpreter and its libraries."""
    return [
        "env",
        f"PYTHONPATH={os.pathsep.join(map(os.path.abspath, sys.path))}",
        sys.executable,
        "-m",
        f"tools.commands.{name}",
        *flags,
    ]


def measure(step: Step, folder: Path) -> Measure:
    """Runs a step in a directory.

    Raises:
        UserError: it failed; the message has its output.
    """
    environment = os.environ | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    log = folder / "log"
    with (folder / step.stdin).open("rb") as stdin, log.open("wb") as output:
        begin = time.monotonic()
        process = subprocess.Popen(step.command, stdin=stdin, stdout=output, stderr=output, cwd=folder, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace").strip()
        raise UserError(f"{shlex.join(step.command)} failed with {process.returncode}: {said}")
    return Measure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


def best_of(step: Step, runs: int, folder: Path) -> Measure:
    """Runs a step several times in a directory; returns the minimum of its times, and the maximum of its memory."""
    return _best([[measure(step, folder)] for _ in range(runs)])[0]


@contextmanager
def two_folders(work: str | None) -> Iterator[tuple[Path, Path]]:
    """Makes a directory for the standard tools, and one for this project's, in a working directory; removes both."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folders = Path(name, "stock"), Path(name, "ours")
        for folder in folders:
            folder.mkdir()
        yield folders


def compare(stock: Sequence[Step], ours: Sequence[Step], runs: int, folders: tuple[Path, Path]) -> None:
    """Runs two variants alternately, each in its own directory, and prints the resources that they used.

    The best run of each step counts. The directories are not cleared between runs.
    """
    ways = (("stock tools", stock, folders[0]), ("this project", ours, folders[1]))
    measures: list[list[list[Measure]]] = [[], []]
    for _ in range(runs):
        for (_, steps, folder), done in zip(ways, measures, strict=True):
            done.append([measure(step, folder) for step in steps])
    totals = [_report(name, steps, _best(done)) for (name, steps, _), done in zip(ways, measures, strict=True)]
    wall, cpu = totals[1].wall / totals[0].wall, totals[1].cpu / totals[0].cpu
    print(f"ours takes {wall:.2f} of the wall time, {cpu:.2f} of the CPU time")


def _best(runs: Sequence[Sequence[Measure]]) -> list[Measure]:
    """Returns, for each step, the minimum wall and CPU time, and the maximum memory of all runs."""
    return [
        Measure(min(m.wall for m in same), min(m.cpu for m in same), max(m.memory for m in same))
        for same in zip(*runs, strict=True)
    ]


def _report(title: str, steps: Sequence[Step], measures: Sequence[Measure]) -> Measure:
    """Prints a table of steps; returns the sum of their times, and the maximum of their memory."""
    total = Measure(sum(m.wall for m in measures), sum(m.cpu for m in measures), max(m.memory for m in measures))
    print(f"{title:<32} {'wall s':>8} {'cpu s':>8} {'MiB':>8}")
    rows = [*zip([step.name for step in steps], measures, strict=True), ("all", total)]
    for name, row in rows:
        print(f"  {name:<30} {row.wall:8.2f} {row.cpu:8.2f} {row.memory / _MIB:8.0f}")
    return total


def compare_sizes(names: Sequence[str], folders: tuple[Path, Path]) -> None:
    """Prints and compares the sizes of files that both variants created."""
    for name in names:
        theirs, own = ((folder / name).stat().st_size for folder in folders)
        print(f"{name}: {own / _MIB:.1f} MiB, theirs {theirs / _MIB:.1f} MiB: {own / theirs:.3f}")
