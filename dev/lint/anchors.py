"""The anchors that a document offers to links: one for each heading, as GitHub derives them, and the explicit ones."""

from __future__ import annotations

import re
from collections import Counter

_MARKDOWN_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_ADOC_HEADING = re.compile(r"={1,6}\s+(.*)$")
_EXPLICIT = re.compile(r"""<a\s+(?:id|name)=["']([^"']+)["']|\[\[([^\],]+)""")
_LINK_TEXT = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_FENCES = ("```", "----", "....")


def anchors(text: str, *, adoc: bool) -> set[str]:
    """Returns the anchors of a document, without "#".

    Args:
        text: content of the document.
        adoc: whether it is AsciiDoc, whose anchors start with "_" and have "_" between words; else Markdown.
    """
    found: set[str] = set()
    seen: Counter[str] = Counter()
    fence = ""
    for line in text.splitlines():
        mark = next((mark for mark in _FENCES if line.startswith(mark)), "")
        if mark and fence in ("", mark):
            fence = "" if fence else mark
        if fence or mark:
            continue
        found |= {first or second for first, second in _EXPLICIT.findall(line)}
        heading = (_ADOC_HEADING if adoc else _MARKDOWN_HEADING).match(line)
        if heading is None:
            continue
        anchor = _adoc_anchor(heading[1]) if adoc else _markdown_anchor(heading[1])
        count = seen[anchor]
        seen[anchor] += 1
        separator, first_number = ("_", 1) if adoc else ("-", 0)
        found.add(f"{anchor}{separator}{count + first_number}" if count else anchor)
    return found


def _markdown_anchor(heading: str) -> str:
    plain = _LINK_TEXT.sub(r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def _adoc_anchor(heading: str) -> str:
    plain = re.sub(r"[^\w\s.-]", "", heading.lower())
    return "_" + re.sub(r"[\s.-]+", "_", plain).strip("_")
