"""Draws the report of a roll-out, which `manage upgrade --report` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guestos_tools.options import Parser, run
from testnet.local.chart import write_chart
from testnet.local.report import read
from testnet.tools import places

PROGRAM = "draw_rollout"


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Draws the time line of a roll-out: a row for each node, a bar for each phase.",
        "example:\n  bazel run //testnet/tools:draw_rollout -- report.json report.svg",
    )
    result.add_argument("report", metavar="REPORT", help="what `manage upgrade --report` wrote")
    result.add_argument("picture", metavar="PICTURE", help="the SVG to write")
    return result


def main(arguments: Sequence[str]) -> None:
    """Draws what the arguments name."""
    places.enter_folder_of_caller()
    options = parser().parse_args(arguments)
    write_chart(Path(options.picture), read(Path(options.report)))


if __name__ == "__main__":
    run(PROGRAM, main)
