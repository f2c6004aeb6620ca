"""Draws a simulated roll-out (SVG 1.1): the share of machines that confirmed, and the rate of the server, over time."""

from __future__ import annotations

from testnet.model.simulation import Result
from testnet.svg import document, duration, line, second_ticks, text

_LEFT, _WIDTH, _RIGHT = 90, 760, 30
_TOP, _HEIGHT, _GAP = 56, 160, 56
_MOST_POINTS = 400
_GRID, _CONFIRMED, _RATE, _STAGE, _HALT = "#e0e0e0", "#70ad47", "#2f5f93", "#7f7f7f", "#c00000"
_MIDDLE = 'text-anchor="middle" fill="#595959"'
_END = 'text-anchor="end" fill="#595959"'


def chart(result: Result) -> str:
    """Returns the picture of a result; until 99.9 % of the machines that ever confirm have done so."""
    count = len(result.confirmed)
    last = result.confirmed[min(count - 1, int(count * 0.999))] if count else max(result.ended, result.halted or 0.0)
    last = max(60.0, last, result.halted or 0.0)
    body = [text(_LEFT, 24, _title(result), 'font-size="14" font-weight="bold"')]
    steps = range(0, count, max(1, count // _MOST_POINTS))
    shares = [(0.0, 0.0)] + [(result.confirmed[each], (each + 1) / result.machines) for each in steps]
    body += _panel(_TOP, last, result, ["0 %", "50 %", "100 %"])
    body.append(line([_point(at, share, last, _TOP) for at, share in shares if at <= last], _CONFIRMED, 2))
    top = _TOP + _HEIGHT + _GAP
    most = max(result.sent_by_minute.values(), default=1.0) or 1.0
    rate = most / 60 * 8
    body += _panel(top, last, result, ["0", _bits(rate / 2), _bits(rate)])
    body.append(line([_point(at, sent / most, last, top) for at, sent in _rates(result, last)], _RATE, 2))
    body.append(text(_LEFT, _TOP - 4, "machines that confirmed", f'fill="{_CONFIRMED}"'))
    body.append(text(_LEFT, top - 4, "the server sends, mean of a minute", f'fill="{_RATE}"'))
    return document(_LEFT + _WIDTH + _RIGHT, top + _HEIGHT + 40, body)


def _title(result: Result) -> str:
    end = f"halted: {result.halt_reason}" if result.halted is not None else "not halted"
    return f"{result.machines} machines, {len(result.confirmed)} confirmed, {result.fallbacks} fell back, {end}"


def _rates(result: Result, last: float) -> list[tuple[float, float]]:
    """Returns time and bytes of the minutes with a change, so that pauses are two points."""
    points = [(0.0, 0.0)]
    for minute, sent in sorted(result.sent_by_minute.items()):
        at = 60.0 * minute
        if at > points[-1][0]:
            points += [(points[-1][0], 0.0), (at, 0.0)]
        points += [(at, sent), (at + 60, sent)]
    points += [(points[-1][0], 0.0), (last, 0.0)]
    return [(min(at, last), sent) for at, sent in points]


def _point(at: float, share: float, last: float, top: float) -> tuple[float, float]:
    return _LEFT + at / last * _WIDTH, top + _HEIGHT * (1 - share)


def _panel(top: float, last: float, result: Result, labels: list[str]) -> list[str]:
    lines = []
    for second in second_ticks(last):
        (x, low), (_, high) = _point(second, 0, last, top), _point(second, 1, last, top)
        lines += [line([(x, low), (x, high)], _GRID), text(x, low + 15, duration(second), _MIDDLE)]
    for number, label in enumerate(labels):
        share = number / (len(labels) - 1)
        (left, y), (right, _) = _point(0, share, last, top), _point(last, share, last, top)
        lines += [line([(left, y), (right, y)], _GRID), text(left - 6, y + 4, label, _END)]
    marks = [(at, _STAGE) for at in result.stage_starts] + ([(result.halted, _HALT)] if result.halted else [])
    return lines + [line([_point(at, 0, last, top), _point(at, 1, last, top)], colour) for at, colour in marks]


def _bits(rate: float) -> str:
    for size, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s")):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.3g} bit/s"
