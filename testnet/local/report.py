"""The report of roll-outs, as a file: what became of each node, and when.

A report has a run for each call of the command that upgrades: after a halt the next call goes on, and adds a run. It is
written after each step, so that it is there whatever ends the command.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all

UPGRADED = "upgraded"
CURRENT = "had it already"
FAILED = "failed"
NOT_TRIED = "not tried"
RUNNING = "running"
"""Results of a node; the last one is that of a node whose upgrade has begun and has not ended."""

FINISHED, HALTED, INTERRUPTED = "finished", "halted", "interrupted"
"""Results of a run, besides RUNNING."""

STARTED, DOWNLOADED, INSTALLED, COMMITTED, LOST, CONFIRMED = (
    *("started", "downloaded", "installed", "committed", "lost", "confirmed"),
)
"""Steps of a node, in their order. LOST: it is not up, and is waited for; STARTED follows again, unless it boots the
new system. The last step may be FAILED."""

_FORMAT = 1
_RESULTS = (UPGRADED, CURRENT, FAILED, NOT_TRIED, RUNNING)
_STEPS = (STARTED, DOWNLOADED, INSTALLED, COMMITTED, LOST, CONFIRMED, FAILED)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a node: what happened, and when, in seconds since the start of the run."""

    what: str
    at: float


@dataclass(slots=True, kw_only=True)
class Record:
    """What became of a node.

    Attributes:
        name: of the node.
        subnet: its subnet, such as `subnet 1`.
        result: UPGRADED, CURRENT, FAILED, NOT_TRIED or RUNNING.
        before: version and slot before.
        after: version and slot after.
        problem: why it failed.
        steps: what happened, in order.
    """

    name: str
    subnet: str
    result: str = NOT_TRIED
    before: str | None = None
    after: str | None = None
    problem: str | None = None
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Run:
    """A call of the command.

    Attributes:
        began: the time, in UTC (RFC 3339).
        version: of the update image.
        sha256: of the update image.
        size: of the update image, in bytes.
        sent: how much of it all nodes got, in bytes.
        tolerate: how many nodes of a subnet could fail.
        result: FINISHED, HALTED, INTERRUPTED or RUNNING.
        nodes: in the order of the roll-out.
    """

    began: str
    version: str
    sha256: str
    size: int
    sent: int = 0
    tolerate: int
    result: str = RUNNING
    nodes: list[Record] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Report:
    """The runs of a deployment."""

    deployment: str
    runs: list[Run] = field(default_factory=list)


class Clock:
    """The time of a run."""

    def __init__(self) -> None:
        """Starts at 0."""
        self._began = time.monotonic()
        self.text = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def seconds(self, at: float | None = None) -> float:
        """Returns the time since the start, in seconds; of a value of `time.monotonic`, or now."""
        return round((time.monotonic() if at is None else at) - self._began, 1)


class Track:
    """Records the steps of one node."""

    def __init__(self, record: Record, clock: Clock, save: Callable[[], None], say: Callable[[str], None]) -> None:
        """Records steps.

        Args:
            record: gets them.
            clock: of the run.
            save: called after each step.
            say: tells a person how far the work is.
        """
        self.record = record
        self.say = say
        self._clock = clock
        self._save = save

    def mark(self, what: str, at: float | None = None) -> None:
        """Records a step that happens now, or happened at `at`, a value of `time.monotonic`."""
        self.record.steps.append(Step(what, self._clock.seconds(at)))
        self._save()


def write(path: Path, report: Report) -> None:
    """Writes a report, as JSON.

    Raises:
        UserError: the file cannot be written.
    """
    value = {"format": _FORMAT, **dataclasses.asdict(report)}
    with replacing(path) as file:
        write_all(file, f"{json.dumps(value, indent=2)}\n".encode())


def read(path: Path) -> Report:
    """Returns the report that a file contains.

    Raises:
        UserError: the file cannot be read, or is no report.
    """
    try:
        value = json.loads(path.read_bytes())
        if value.pop("format") != _FORMAT:
            raise UserError(f"{path}: is of another version of this program")
        return Report(deployment=_text(value.pop("deployment")), runs=[_run(each) for each in value.pop("runs")])
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: is not the report of a roll-out") from error


def _run(value: dict[str, Any]) -> Run:
    run = Run(**{**value, "nodes": [_record(each) for each in value["nodes"]]})
    for text in (run.began, run.version, run.sha256, run.result):
        _text(text)
    for number in (run.size, run.sent, run.tolerate):
        _number(number)
    return run


def _record(value: dict[str, Any]) -> Record:
    record = Record(**{**value, "steps": [Step(**each) for each in value["steps"]]})
    for text in (record.name, record.subnet):
        _text(text)
    times = [_number(step.at) for step in record.steps]
    if record.result not in _RESULTS or times != sorted(times) or any(each.what not in _STEPS for each in record.steps):
        raise ValueError
    for optional in (record.before, record.after, record.problem):
        if optional is not None:
            _text(optional)
    return record


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise TypeError
    return value
