"""Writes HTML: elements with escaped text, and tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from tools.core.text import escaped


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: str | int) -> Html:
    """Returns text as HTML; `Html` stays as it is. Control characters are shown as escapes."""
    return value if isinstance(value, Html) else Html(html.escape(escaped(str(value))))


def element(tag: str, *content: str | int, **attributes: str) -> Html:
    """Returns an element; an attribute with `_` at the end of its name has it without, such as `class_`."""
    words = "".join(f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{words}>{''.join(map(text, content))}</{tag}>")


def joined(parts: Iterable[str | int]) -> Html:
    """Returns several pieces as one."""
    return Html("\n".join(map(text, parts)))


def table(heads: Sequence[str], rows: Iterable[Sequence[str | int]], numbers: Sequence[int] = ()) -> Html:
    """Returns a table.

    Args:
        heads: names of the columns.
        rows: their cells.
        numbers: indexes of the columns that are aligned to the right.
    """
    head = element("tr", *(_cell("th", name, at in numbers, scope="col") for at, name in enumerate(heads)))
    body = (element("tr", *(_cell("td", each, at in numbers) for at, each in enumerate(row))) for row in rows)
    return element("table", element("thead", head), element("tbody", joined(body)))


def _cell(tag: str, content: str | int, number: bool, **attributes: str) -> Html:
    return element(tag, content, **({"class_": "n"} if number else {}), **attributes)
