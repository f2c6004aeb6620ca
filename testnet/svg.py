"""Parts of pictures in SVG 1.1: shapes, texts, and the ticks of an axis. What is drawn has no scripts and no links."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

_MOST_TICKS = 10
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)


def document(width: int, height: int, body: Sequence[str]) -> str:
    """Returns a picture with a white ground."""
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, rectangle(0, 0, width, height, "#ffffff"), *body, "</svg>", ""])


def rectangle(x: float, y: float, width: float, height: float, colour: str, *, title: str = "") -> str:
    """Returns a rectangle; its title is shown where somebody points at it."""
    start = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"'
    return f"{start}><title>{escape(title)}</title></rect>" if title else f"{start}/>"


def text(x: float, y: float, content: str, style: str = "") -> str:
    """Returns a line of text; `style` has further attributes of SVG."""
    return f'<text x="{x:.1f}" y="{y:.1f}"{" " if style else ""}{style}>{escape(content)}</text>'


def line(points: Sequence[tuple[float, float]], colour: str, width: float = 1) -> str:
    """Returns a line through points."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def second_ticks(last: float) -> list[int]:
    """Returns times from 0 to `last`, in seconds, at most eleven, in steps that a reader of clocks knows."""
    step = next((each for each in _STEPS if last / each <= _MOST_TICKS), None)
    if step is None:
        step = _STEPS[-1] * (int(last / _STEPS[-1] / _MOST_TICKS) + 1)
    return list(range(0, int(last) + 1, step))


def duration(seconds: float) -> str:
    """Returns a time with one unit, such as `90 s`, `30 min`, `12.5 h` or `3 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
