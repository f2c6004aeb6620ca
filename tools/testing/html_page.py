"""Reads HTML pages, for tests."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = ("meta",)
_CELLS = ("td", "th")
_LOADING = ("src", "srcset", "data")


class Page(HTMLParser):
    """A page, whose tags must be balanced.

    Attributes:
        tags: names of all elements in their order.
        text: all text.
        loads: what the page would load or run: addresses in attributes, and handlers of events.
        anchors: ids that links on the page lead to.
        ids: ids of elements.
        rows: texts of the cells of each row of the tables.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in _CELLS:
            self.rows[-1].append("")
        for name, value in attrs:
            if name in _LOADING or name.startswith("on"):
                self.loads.append(value or "")
            elif name == "href" and (value or "").startswith("#"):
                self.anchors.append((value or "")[1:])
            elif name == "id":
                self.ids.append(value or "")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if any(tag in _CELLS for tag in self._open):
            self.rows[-1][-1] += data
