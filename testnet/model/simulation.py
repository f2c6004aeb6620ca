"""Simulates the staged roll-out of an update to a fleet of machines.

A repository offers the version to a stage of machines at a time. Each machine asks it every `poll_seconds`, at its own
time of the interval; downloads, while all share the server's bandwidth; installs, restarts, and confirms. A machine
that failed is away, and asks when it is back. A power cut or a broken download leads to another try; a defect leads
back to the old system, for good. The next stage opens when the soak time is over and a quorum of the stage's machines
has confirmed; the roll-out halts at too many fallbacks, or without the quorum for too long. Upgrades that have begun
then go on.

The same parameters and seed give the same result.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from testnet.model.parameters import Parameters
from testnet.model.shared_link import SharedLink

_YEAR = 365.25 * 86_400

FALLBACKS, NO_QUORUM = "too many fallbacks", "too few machines confirmed"
"""Why a roll-out halts."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a roll-out. Times are in seconds from its start.

    Attributes:
        machines: number of all machines.
        confirmed: times at which machines confirmed, in order.
        fallbacks: number of machines that fell back.
        attempts: number of downloads that began.
        retries: number of tries after a power cut or a broken download.
        stage_starts: times at which the stages opened.
        halted: when the roll-out halted; None if it did not.
        halt_reason: FALLBACKS or NO_QUORUM; None if it did not halt.
        ended: time of the last event.
        sent: bytes that the server sent.
        most_downloads: the largest number of downloads at a time.
        most_rate: the highest rate of the server, in bytes per second.
        busy_seconds: how long the server's bandwidth was the limit.
        sent_by_minute: bytes that the server sent in each minute, by its number.
        polls_per_second: rate of the machines' questions, which does not depend on a roll-out.
    """

    machines: int
    confirmed: list[float] = field(default_factory=list)
    fallbacks: int = 0
    attempts: int = 0
    retries: int = 0
    stage_starts: list[float] = field(default_factory=list)
    halted: float | None = None
    halt_reason: str | None = None
    ended: float = 0.0
    sent: float = 0.0
    most_downloads: int = 0
    most_rate: float = 0.0
    busy_seconds: float = 0.0
    sent_by_minute: dict[int, float] = field(default_factory=dict)
    polls_per_second: float = 0.0

    def time_to(self, share: float) -> float | None:
        """Returns when a share of all machines had confirmed, in seconds; None if that never was."""
        needed = max(1, math.ceil(share * self.machines))
        return self.confirmed[needed - 1] if needed <= len(self.confirmed) else None


def simulate(parameters: Parameters, seed: int = 0) -> Result:
    """Returns the result of a roll-out."""
    return _Simulation(parameters, seed).run()


class _Simulation:
    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._given = parameters
        self._random = random.Random(seed)
        self._link = SharedLink(parameters.server_rate, parameters.machine_rate)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._waiting: deque[int] = deque()
        self._active = 0
        self._begun: dict[int, float] = {}
        self._result = Result(machines=parameters.machines)
        self._members = [0]  # of the stages up to each one
        self._stage_confirmed = 0

    def run(self) -> Result:
        """Returns the result."""
        given, result = self._given, self._result
        self._members += [math.ceil(stage.share * given.machines) for stage in given.stages]
        self._open_stage(0.0)
        while True:
            at = self._events[0][0] if self._events else math.inf
            if math.inf == at == self._link.next_end():
                break
            if self._link.next_end() <= at:
                at, machine = self._link.end()
                self._downloaded(at, machine)
            else:
                at, _, action = heapq.heappop(self._events)
                self._link.advance(at)
                action(at)
        result.sent, result.busy_seconds = self._link.sent, self._link.busy_seconds
        result.most_downloads, result.most_rate = self._link.most_at_once, self._link.most_rate
        result.sent_by_minute = self._link.sent_by_minute
        result.polls_per_second = given.machines / given.poll_seconds if given.poll_seconds else 0.0
        return result

    def _at(self, time: float, action: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, action))

    # Stages.

    def _open_stage(self, now: float) -> None:
        stage = len(self._result.stage_starts)
        self._result.stage_starts.append(now)
        for machine in range(self._members[stage], self._members[stage + 1]):
            self._at(now + self._first_poll(), lambda at, machine=machine: self._poll(at, machine))  # type: ignore[misc]
        self._at(now + self._given.stages[stage].soak_seconds, self._advance_stage)
        if stage + 1 < len(self._given.stages):
            patience = max(self._given.patience_seconds, self._given.stages[stage].soak_seconds)
            self._at(now + patience, lambda at: self._check_patience(at, stage))

    def _first_poll(self) -> float:
        """Returns when a machine asks first: within an interval, or after it has come back from a failure."""
        given = self._given
        away = given.failures_per_year * given.repair_seconds
        if away and self._random.random() < away / (_YEAR + away):
            return self._random.expovariate(1 / given.repair_seconds)
        return self._random.random() * given.poll_seconds

    def _advance_stage(self, now: float) -> None:
        """Opens the next stage if this one has lasted long enough and has its quorum."""
        starts, given = self._result.stage_starts, self._given
        stage = len(starts) - 1
        members = self._members[stage + 1] - self._members[stage]
        is_last = stage + 1 == len(given.stages)
        if is_last or self._result.halted is not None or now < starts[-1] + given.stages[stage].soak_seconds:
            return
        if self._stage_confirmed >= given.quorum * members:
            self._stage_confirmed = 0
            self._open_stage(now)

    def _check_patience(self, now: float, stage: int) -> None:
        if len(self._result.stage_starts) == stage + 1:
            self._halt(now, NO_QUORUM)

    def _halt(self, now: float, reason: str) -> None:
        if self._result.halted is None:
            self._result.halted, self._result.halt_reason = now, reason

    # A machine.

    def _poll(self, now: float, machine: int) -> None:
        if self._result.halted is not None:
            return
        if self._given.at_once and self._active >= self._given.at_once:
            self._waiting.append(machine)
            return
        self._active += 1
        self._begun[machine] = now
        self._result.attempts += 1
        self._link.begin(now, machine, self._given.image_bytes)

    def _downloaded(self, now: float, machine: int) -> None:
        given = self._given
        if self._random.random() < given.broken_downloads:
            self._retry(now, machine, now + self._random.random() * given.poll_seconds)
            return
        ready = now + self._duration(given.install_seconds) + self._duration(given.restart_seconds)
        begun = self._begun[machine]
        cut = (
            begun + self._random.expovariate(given.power_cuts_per_year / _YEAR)
            if given.power_cuts_per_year
            else math.inf
        )
        if cut < ready:
            # A cut during the download is taken to come at its end: the server has sent more than it would have.
            self._at(max(now, cut), lambda at: self._retry(at, machine, at + self._outage()))
        else:
            self._at(ready, lambda at: self._restarted(at, machine))

    def _outage(self) -> float:
        seconds = self._given.power_cut_seconds
        return self._random.expovariate(1 / seconds) if seconds else 0.0

    def _duration(self, median: float) -> float:
        return median * self._random.lognormvariate(0.0, self._given.spread)

    def _retry(self, now: float, machine: int, at: float) -> None:
        self._result.retries += 1
        self._at(at, lambda time: self._poll(time, machine))
        self._leave(now, machine)

    def _restarted(self, now: float, machine: int) -> None:
        given, result = self._given, self._result
        result.ended = now
        if self._random.random() < given.defects:
            result.fallbacks += 1
            tried = len(result.confirmed) + result.fallbacks
            if result.fallbacks >= given.halt_least and result.fallbacks > given.halt_share * tried:
                self._halt(now, FALLBACKS)
        else:
            result.confirmed.append(now)
            if machine >= self._members[len(result.stage_starts) - 1]:
                self._stage_confirmed += 1
                self._advance_stage(now)
        self._leave(now, machine)

    def _leave(self, now: float, machine: int) -> None:
        del self._begun[machine]
        self._active -= 1
        if self._waiting:
            self._poll(now, self._waiting.popleft())
