"""Draws a roll-out as a picture: a row for each node, a bar for its installation and one for its boot (SVG 1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from testnet.local.rollout import FAILED, Record

_ROW = 24
_TOP = 16
_LEFT = 220
_WIDTH = 720
_RIGHT = 160
_COLOURS = {"installs": "#8fb6d9", "boots": "#3a6ea5", "failed": "#c0504d"}


def chart(records: Sequence[Record]) -> str:
    """Returns the picture of a roll-out."""
    last = max([each.ended for each in records if each.ended is not None], default=0.0) or 1.0
    height = _TOP + _ROW * (len(records) + 2)
    size = f'width="{_LEFT + _WIDTH + _RIGHT}" height="{height}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    for number, record in enumerate(records):
        lines += _row(record, _TOP + _ROW * number, _WIDTH / last)
    lines += _legend(_TOP + _ROW * (len(records) + 1), last)
    return "\n".join([*lines, "</svg>", ""])


def _row(record: Record, top: int, scale: float) -> list[str]:
    lines = [_text(8, top, f"{record.name} ({record.subnet})")]
    if record.started is None or record.ended is None:
        return [*lines, _text(_LEFT, top, record.result)]
    begin, end = record.started * scale, record.ended * scale
    if record.result == FAILED:
        lines.append(_bar(top, begin, end, "failed", record.problem or ""))
    elif record.installed is not None:
        lines.append(_bar(top, begin, record.installed * scale, "installs", record.before or ""))
        lines.append(_bar(top, record.installed * scale, end, "boots", record.after or ""))
    return [*lines, _text(_LEFT + round(end) + 6, top, f"{record.result}, {record.ended:.0f} s")]


def _bar(top: int, begin: float, end: float, kind: str, title: str) -> str:
    x, width = _LEFT + begin, max(1.0, end - begin)
    return (
        f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{_ROW - 6}" fill={quoteattr(_COLOURS[kind])}>'
        f"<title>{escape(title)}</title></rect>"
    )


def _text(x: int, top: int, text: str) -> str:
    return f'<text x="{x}" y="{top + 13}">{escape(text)}</text>'


def _legend(top: int, last: float) -> list[str]:
    lines = [_text(8, top, f"0 s to {last:.0f} s")]
    for number, (name, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + 140 * number
        lines.append(f'<rect x="{x}" y="{top}" width="{_ROW - 6}" height="{_ROW - 6}" fill="{colour}"/>')
        lines.append(_text(x + _ROW, top, name))
    return lines
