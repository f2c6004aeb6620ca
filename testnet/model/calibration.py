"""Compares the model with a roll-out that was measured: what one node took, and what that predicts for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from testnet.local.report import CONFIRMED, DOWNLOADED, INSTALLED, STARTED, UPGRADED, Record, Report, Run
from testnet.model.parameters import Parameters, changed
from testnet.model.simulation import simulate
from tools.core.errors import UserError

_LEAST_SECONDS = 0.1
"""Resolution of a report's times."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a report says.

    Attributes:
        parameters: those of the model, with the durations of the report's first node.
        nodes: how many nodes were upgraded.
        measured_seconds: how long their upgrades took, one after the other.
        modelled_seconds: how long they take in the model.
    """

    parameters: Parameters
    nodes: int
    measured_seconds: float
    modelled_seconds: float


def calibrated(parameters: Parameters, report: Report) -> Measured:
    """Returns what the last run of a report says in which a node was upgraded.

    Args:
        parameters: of the model.
        report: of a local roll-out, which upgrades one node at a time.

    Raises:
        UserError: no node was upgraded.
    """
    for run in reversed(report.runs):
        upgraded = [each for each in run.nodes if each.result == UPGRADED]
        if upgraded:
            return _calibrated(parameters, run, upgraded)
    raise UserError("the report has no node that was upgraded; the model needs the times of one")


def _calibrated(parameters: Parameters, run: Run, upgraded: list[Record]) -> Measured:
    times = [{step.what: step.at for step in each.steps} for each in upgraded]
    if any(not {STARTED, DOWNLOADED, INSTALLED, CONFIRMED} <= set(each) for each in times):
        raise UserError("the report lacks steps of a node that was upgraded")
    first = times[0]
    download = max(_LEAST_SECONDS, first[DOWNLOADED] - first[STARTED])
    durations = {
        "install_seconds": first[INSTALLED] - first[DOWNLOADED],
        "restart_seconds": first[CONFIRMED] - first[INSTALLED],
        "image_bytes": run.size,
        "machine_rate": run.size / download,
    }
    # As the nodes were upgraded: one at a time, without a time to wait, and without failures.
    certain = dict.fromkeys(
        ("poll_seconds", "spread", "failures_per_year", "power_cuts_per_year", "broken_downloads", "defects"), 0.0
    )
    alone = {"machines": len(times), "at_once": 1, "server_rate": 2 * run.size / download}
    modelled = simulate(changed(parameters, {**durations, **certain, **alone}, [(1, 0)])).time_to(1)
    assert modelled is not None
    return Measured(
        parameters=changed(parameters, durations, None),
        nodes=len(times),
        measured_seconds=sum(each[CONFIRMED] - each[STARTED] for each in times),
        modelled_seconds=modelled,
    )
