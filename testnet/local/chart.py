"""Draws a report of roll-outs as a picture (SVG 1.1): a part for each run, a row for each node, a bar for each phase.

The picture depends on the report alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from testnet.local.report import (
    COMMITTED,
    DOWNLOADED,
    FAILED,
    INSTALLED,
    LOST,
    RUNNING,
    STARTED,
    Record,
    Report,
    Run,
)
from tools.core.outputs import replacing, write_all

_ROW = 26
_BAR = 16
_LEFT = 190
_WIDTH = 640
_RIGHT = 210
_TITLE = 52
_AXIS = 38
_MOST_TICKS = 10
_TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
_PHASES = {
    STARTED: ("downloads", "#9cc3e6"),
    DOWNLOADED: ("installs", "#5b9bd5"),
    INSTALLED: ("commits", "#2f5f93"),
    COMMITTED: ("boots, is confirmed", "#70ad47"),
    LOST: ("without its machine", "#7f7f7f"),
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
    width, height = _LEFT + _WIDTH + _RIGHT, top + 12 + _ROW
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, _rectangle(0, 0, width, height, "#ffffff"), *body, "</svg>", ""])


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
        _text(8, top + 22, title, "font-size='14' font-weight='bold'"),
        _text(8, top + 40, f"{run.began}; {run.sent / 1e6:.1f} MB sent; {run.tolerate} nodes of a subnet may fail"),
    ]
    rows = top + _TITLE
    bottom = rows + _ROW * len(run.nodes)
    for second in _ticks(last):
        x = _LEFT + second * scale
        lines.append(f'<line x1="{x:.1f}" y1="{rows}" x2="{x:.1f}" y2="{bottom}" stroke="#d9d9d9"/>')
        lines.append(_text(x, bottom + 15, f"{second} s", 'text-anchor="middle" fill="#595959"'))
    for number, record in enumerate(run.nodes):
        lines += _row(record, rows + _ROW * number, scale)
    return lines


def _ticks(last: float) -> list[int]:
    step = next((each for each in _TICKS if last / each <= _MOST_TICKS), None)
    if step is None:
        step = _TICKS[-1] * (int(last / _TICKS[-1] / _MOST_TICKS) + 1)
    return list(range(0, int(last) + 1, step))


def _row(record: Record, top: int, scale: float) -> Iterator[str]:
    middle = top + _ROW / 2
    yield _text(8, middle + 4, f"{record.name} ({record.subnet})")
    end = 0.0
    for first, second in itertools.pairwise(record.steps):
        name, colour = _PHASES[first.what]
        end = second.at * scale
        title = f"{name}: {first.at:g} s to {second.at:g} s"
        begin = first.at * scale
        yield _rectangle(_LEFT + begin, middle - _BAR / 2, max(1.0, end - begin), _BAR, colour, title=title)
    if record.result == FAILED:
        yield _rectangle(_LEFT + end, middle - _BAR / 2, 4, _BAR, _FAILED, title=record.problem or FAILED)
    colour = _FAILED if record.result == FAILED else "#262626"
    yield _text(_LEFT + end + 8, middle + 4, _label(record), f'fill="{colour}"')


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
        lines += [_rectangle(x, top, _BAR, _BAR, colour), _text(x + _BAR + 6, top + 13, name)]
    return lines


def _rectangle(x: float, y: float, width: float, height: float, colour: str, *, title: str = "") -> str:
    start = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"'
    return f"{start}><title>{escape(title)}</title></rect>" if title else f"{start}/>"


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{" " if style else ""}{style}>{escape(text)}</text>'
