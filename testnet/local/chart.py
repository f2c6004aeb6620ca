"""Draws a report of roll-outs as a picture (SVG 1.1): a part for each run, a row for each node, a bar for each phase.

The picture depends on the report alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from testnet.local.report import COMMITTED, DOWNLOADED, FAILED, INSTALLED, LOST, RUNNING, STARTED, Record, Report, Run
from testnet.svg import document, line, rectangle, second_ticks, text
from tools.core.outputs import replacing, write_all

_ROW = 26
_BAR = 16
_LEFT = 190
_WIDTH = 640
_RIGHT = 210
_TITLE = 52
_AXIS = 38
_PHASES = {
    STARTED: ("downloads", "#9cc3e6"),
    DOWNLOADED: ("installs", "#5b9bd5"),
    INSTALLED: ("commits", "#2f5f93"),
    COMMITTED: ("boots, is confirmed", "#70ad47"),
    LOST: ("is lost", "#7f7f7f"),
}
"""What a node does after a step, and the colour of that."""

_FAILED = "#c00000"


def chart(report: Report) -> str:
    """Returns the picture of a report."""
    body: list[str] = []
    top = 0
    for number, run in enumerate(report.runs, 1):
        title = f"{report.deployment}, run {number} of {len(report.runs)}: to version {run.version}, {run.result}"
        body += _run(run, title, top)
        top += _TITLE + _ROW * len(run.nodes) + _AXIS
    body += _legend(top + 12)
    return document(_LEFT + _WIDTH + _RIGHT, top + 12 + _ROW, body)


def write_chart(path: Path, report: Report) -> None:
    """Writes the picture of a report.

    Raises:
        UserError: the file cannot be written.
    """
    with replacing(path) as file:
        write_all(file, chart(report).encode())


def _run(run: Run, title: str, top: int) -> list[str]:
    last = max((step.at for record in run.nodes for step in record.steps), default=0.0) or 1.0
    scale = _WIDTH / last
    lines = [
        text(8, top + 22, title, "font-size='14' font-weight='bold'"),
        text(8, top + 40, f"{run.began}; {run.sent / 1e6:.1f} MB sent; {run.tolerate} nodes of a subnet may fail"),
    ]
    rows = top + _TITLE
    bottom = rows + _ROW * len(run.nodes)
    for second in second_ticks(last):
        x = _LEFT + second * scale
        lines.append(line([(x, rows), (x, bottom)], "#d9d9d9"))
        lines.append(text(x, bottom + 15, f"{second} s", 'text-anchor="middle" fill="#595959"'))
    for number, record in enumerate(run.nodes):
        lines += _row(record, rows + _ROW * number, scale)
    return lines


def _row(record: Record, top: int, scale: float) -> Iterator[str]:
    middle = top + _ROW / 2
    yield text(8, middle + 4, f"{record.name} ({record.subnet})")
    end = 0.0
    for first, second in itertools.pairwise(record.steps):
        name, colour = _PHASES[first.what]
        end = second.at * scale
        title = f"{name}: {first.at:g} s to {second.at:g} s"
        begin = first.at * scale
        yield rectangle(_LEFT + begin, middle - _BAR / 2, max(1.0, end - begin), _BAR, colour, title=title)
    if record.result == FAILED:
        yield rectangle(_LEFT + end, middle - _BAR / 2, 4, _BAR, _FAILED, title=record.problem or FAILED)
    colour = _FAILED if record.result == FAILED else "#262626"
    yield text(_LEFT + end + 8, middle + 4, _label(record), f'fill="{colour}"')


def _label(record: Record) -> str:
    if not record.steps:
        return record.result
    last = record.steps[-1]
    step = f"{last.what} at " if record.result == RUNNING else ""
    return f"{record.result}, {step}{last.at:g} s"


def _legend(top: int) -> list[str]:
    entries = [*_PHASES.values(), (FAILED, _FAILED)]
    lines = []
    for number, (name, colour) in enumerate(entries):
        x = 8 + 160 * number
        lines += [rectangle(x, top, _BAR, _BAR, colour), text(x + _BAR + 6, top + 13, name)]
    return lines
