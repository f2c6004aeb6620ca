"""Reads generated inputs until a number of runs is over, or until it is interrupted.

An input that takes too much memory or time, or that ends in another exception than the reader's own errors, is kept in
the corpus, and the command ends with status 1. With a corpus, inputs with a new outcome are kept too, and further ones
are made from them. The same seed gives the same inputs, as long as the corpus is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tests.fuzz import archives, images, packages, texts
from tests.fuzz.target import Target, mutated
from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName

TARGETS: dict[str, Target] = archives.TARGETS | images.TARGETS | packages.TARGETS | texts.TARGETS
_REPORT_SECONDS = 60
_FROM_CORPUS = 0.3


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    target: str = argument("the reader to test, or `all`", positional=True)
    runs: int = argument("number of inputs for each reader; 0 for no end", default=1000)
    seconds: float = argument("end after that time for each reader; 0 for no end", default=0.0)
    seed: str = argument("of the inputs", default="0")
    corpus: FileName | None = argument("directory for inputs with new outcomes and for failures", default=None)
    memory_mib: int = argument("memory that reading an input may take, in MiB", default=64)
    timeout: float = argument("processor time that reading an input may take, in seconds", default=5.0)


class _OverBudgetError(Exception):
    """An input took too long."""


@dataclass
class Corpus:
    """Inputs that had an outcome which none before had.

    Attributes:
        folder: where they are; None to keep none.
        inputs: their contents.
        outcomes: the outcomes that are known.
    """

    folder: Path | None
    inputs: list[bytes] = field(default_factory=list)
    outcomes: set[str] = field(default_factory=set)

    def load(self) -> None:
        """Reads the inputs of earlier runs."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.inputs = [path.read_bytes() for path in sorted(self.folder.glob("input-*"))]

    def add(self, data: bytes, outcome: str) -> None:
        """Keeps an input if its outcome is new."""
        if outcome in self.outcomes or self.folder is None:
            return
        self.outcomes.add(outcome)
        if data not in self.inputs:
            self.inputs.append(data)
            self.save(data, "input")

    def save(self, data: bytes, kind: str) -> str:
        """Writes an input; returns its path."""
        folder = self.folder or Path(tempfile.gettempdir())
        path = folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:16]}"
        path.write_bytes(data)
        return str(path)


def outcome_of(error: Exception) -> str:
    """Returns an error without the names and numbers in it."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|/\S+|[0-9a-f]{8,}|\d+", "", f"{type(error).__name__}: {error}")[:200]


def read(target: Target, path: Path, timeout: float, memory_mib: int) -> Exception | None:
    """Reads an input; returns the error by which it was refused.

    Raises:
        Exception: a defect of the reader: another error, too much memory or too much time.
    """
    with budget(timeout, memory_mib):
        try:
            target.read(path)
        except target.refuses as error:
            return error
    return None


def fuzz(name: str, arguments: Arguments, corpus: Corpus, folder: Path) -> int:
    """Reads inputs of a target; returns how many.

    Raises:
        CheckError: an input shows a defect.
    """
    target = TARGETS[name]
    path = folder / "input"
    started = told = time.monotonic()
    replayed = list(corpus.inputs)
    number = refused = 0
    while (not arguments.runs or number < arguments.runs) and not _is_over(arguments, started):
        chance = random.Random(f"{name}/{arguments.seed}/{number}")
        if replayed:
            data = replayed.pop()
        elif corpus.inputs and chance.random() < _FROM_CORPUS:
            data = mutated(chance, chance.choice(corpus.inputs), most=3)
        else:
            data = target.make(chance)
        path.write_bytes(data)
        number += 1
        try:
            error = read(target, path, arguments.timeout, arguments.memory_mib)
        except Exception as defect:
            kept = corpus.save(data, "failure")
            traceback.print_exc()
            raise CheckError(f"{name}: run {number - 1} of seed {arguments.seed}: {defect!r}; see {kept}") from defect
        refused += error is not None
        corpus.add(data, "accepted" if error is None else outcome_of(error))
        if time.monotonic() - told > _REPORT_SECONDS:
            told = time.monotonic()
            print(f"{name}: {number} inputs, {refused} refused, {len(corpus.inputs)} in the corpus", flush=True)
    seconds = time.monotonic() - started
    print(f"{name}: {number} inputs in {seconds:.1f} s, {refused} refused", flush=True)
    return number


def _is_over(arguments: Arguments, started: float) -> bool:
    return bool(arguments.seconds) and time.monotonic() - started > arguments.seconds


def _over_budget(_number: int, _frame: types.FrameType | None) -> NoReturn:
    raise _OverBudgetError("took too long")


@contextlib.contextmanager
def budget(timeout: float, memory_mib: int) -> Iterator[None]:
    """Limits the processor time of this process, and its memory to what it has and some more."""
    signal.signal(signal.SIGPROF, _over_budget)
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGESIZE") + (memory_mib << 20), before[1]))
    signal.setitimer(signal.ITIMER_PROF, timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def main(arguments: Arguments) -> None:
    """Tests one reader, or all one after the other."""
    names = list(TARGETS) if arguments.target == "all" else [arguments.target]
    if names[0] not in TARGETS:
        raise UserError(f"{names[0]}: is no target; there are {', '.join(sorted(TARGETS))}, and all")
    for name in names:
        corpus = Corpus(None if arguments.corpus is None else Path(arguments.corpus, name))
        corpus.load()
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            fuzz(name, arguments, corpus, Path(folder))
    sys.stdout.flush()


if __name__ == "__main__":
    run(main, Arguments, __doc__)
