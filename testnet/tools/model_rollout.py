"""Models the roll-out of an update to a fleet that is too large to boot."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guestos_tools.options import Parser, run
from testnet.local.report import read as read_report
from testnet.model import parameters
from testnet.model.calibration import Measured, calibrated
from testnet.model.chart import chart
from testnet.model.simulation import Result, simulate
from testnet.svg import duration
from testnet.tools import places
from tools.core.outputs import replacing, write_all

PROGRAM = "model_rollout"
_SHARES = (0.5, 0.9, 0.99, 0.999)


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Simulates the staged roll-out of an update to many machines: the time that it takes, the load of the\n"
        "server, and what halts it. testnet/model/parameters.toml has what is assumed, with sources.",
        "example:\n  bazel run //testnet/tools:model_rollout -- --set defects=0.05 --stages 0.01:3600,1:0",
    )
    result.add_argument("--parameters", metavar="FILE", help="another file of that form")
    result.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], type=_assignment, help="another value"
    )
    result.add_argument(
        "--stages",
        metavar="SHARE:SECONDS,...",
        type=_stages,
        help="other stages: share of machines and soak time of each",
    )
    result.add_argument(
        "--report", metavar="FILE", help="take durations from the report of a local roll-out, and compare"
    )
    result.add_argument("--seed", metavar="NUMBER", type=int, default=0, help="of the random numbers (default: 0)")
    result.add_argument("--json", action="store_true", help="print the result as JSON")
    result.add_argument("--chart", metavar="FILE", help="draw the result (SVG)")
    return result


def main(arguments: Sequence[str]) -> None:
    """Models what the arguments name."""
    places.enter_folder_of_caller()
    options = parser().parse_args(arguments)
    given = parameters.read(Path(options.parameters)) if options.parameters else parameters.read()
    measured = calibrated(given, read_report(Path(options.report))) if options.report else None
    given = parameters.changed(measured.parameters if measured else given, dict(options.set), options.stages)
    result = simulate(given, options.seed)
    if options.chart:
        with replacing(options.chart) as file:
            write_all(file, chart(result).encode())
    value = _object(result, measured)
    print(json.dumps(value, indent=2) if options.json else _text(result, measured))


def _assignment(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER") from error


def _stages(text: str) -> list[tuple[float, float]]:
    try:
        pairs = [each.split(":") for each in text.split(",")]
        return [(float(share), float(soak)) for share, soak in pairs]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not SHARE:SECONDS,SHARE:SECONDS,...") from error


def _object(result: Result, measured: Measured | None) -> dict[str, Any]:
    value: dict[str, Any] = {
        "machines": result.machines,
        "confirmed": len(result.confirmed),
        "fallbacks": result.fallbacks,
        "attempts": result.attempts,
        "retries": result.retries,
        "seconds_to_share": {f"{share:g}": result.time_to(share) for share in _SHARES},
        "stage_starts": result.stage_starts,
        "halted": result.halted,
        "halt_reason": result.halt_reason,
        "server": {
            "bytes": round(result.sent),
            "most_bytes_per_second": round(result.most_rate),
            "most_downloads": result.most_downloads,
            "busy_seconds": round(result.busy_seconds, 1),
            "polls_per_second": round(result.polls_per_second, 1),
        },
    }
    if measured:
        value["report"] = {
            "nodes": measured.nodes,
            "measured_seconds": round(measured.measured_seconds, 1),
            "modelled_seconds": round(measured.modelled_seconds, 1),
        }
    return value


def _text(result: Result, measured: Measured | None) -> str:
    lines = [f"{len(result.confirmed)} of {result.machines} machines confirmed, {result.fallbacks} fell back"]
    for share in _SHARES:
        at = result.time_to(share)
        lines.append(f"{share:>6.1%} confirmed: {'never' if at is None else f'after {duration(at)}'}")
    lines.append("stages opened after " + ", ".join(map(duration, result.stage_starts)))
    if result.halted is not None:
        lines.append(f"halted after {duration(result.halted)}: {result.halt_reason}")
    lines.append(
        f"server: {result.sent / 1e12:.3g} TB in {result.attempts} downloads, at most {result.most_downloads} at "
        f"once and {result.most_rate * 8 / 1e9:.3g} Gbit/s; that was the limit for {duration(result.busy_seconds)}; "
        f"{result.polls_per_second:.3g} polls/s"
    )
    if measured:
        lines.append(
            f"report: {measured.nodes} nodes one after the other took {measured.measured_seconds:.1f} s; the model, "
            f"with the times of the first one, has {measured.modelled_seconds:.1f} s"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run(PROGRAM, main)
