"""Converts Debian's license expressions to SPDX's.

Debian's are those of copyright-format 1.0, section 7: short names, `and`, `or`, `with … exception`; a comma before
`and` or `or` makes it bind weaker than those without. SPDX's are those of SPDX 2.3, annex D. A license that SPDX's list
does not have under a known name becomes `LicenseRef-debian-NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[(),]|[^\s(),]+")
_GNU = re.compile(r"(GPL|LGPL|AGPL|GFDL)(-NIV)?-([0-9])(?:\.([0-9]))?(?:\.0)?(\+|-only|-or-later)?", re.IGNORECASE)
_GNU_VERSIONS = {
    "GPL": ("1.0", "2.0", "3.0"),
    "LGPL": ("2.0", "2.1", "3.0"),
    "AGPL": ("1.0", "3.0"),
    "GFDL": ("1.1", "1.2", "1.3"),
}
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9.-]+")

_SAME = (
    "0BSD Artistic-2.0 Apache-2.0 BSD-2-Clause BSD-3-Clause BSD-4-Clause BSL-1.0 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 "
    "CC-BY-SA-4.0 CC0-1.0 FSFAP FSFUL FSFULLR FTL HPND ICU ISC MIT MIT-0 MPL-1.1 MPL-2.0 OpenSSL PSF-2.0 Unlicense "
    "WTFPL X11 Zlib ZPL-2.1 curl"
)
"""Licenses with the same name in both lists, but for capital letters."""

_NAMES = {name.lower(): name for name in _SAME.split()} | {
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "artistic-2": "Artistic-2.0",
    "boost-1.0": "BSL-1.0",
    "cc0": "CC0-1.0",
    "expat": "MIT",
}
"""SPDX's names by Debian's in lower case."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An SPDX expression, and Debian's names of its custom licenses by `LicenseRef-…`."""

    text: str
    custom: dict[str, str]


def parse_expression(text: str) -> Expression:
    """Returns the SPDX expression of one line in Debian's format; what can't be parsed becomes one custom license."""
    parser = _Parser(_TOKEN.findall(text))
    try:
        result = parser.weakest()
    except (IndexError, RecursionError):
        parser.left = ["incomplete"]
    if parser.left:
        reference = _reference(text)
        return Expression(reference, {reference: " ".join(text.split())})
    return Expression(result, parser.custom)


def all_of(expressions: Iterable[str]) -> str:
    """Returns the SPDX expression that all of these apply; each term is in it once."""
    expressions = list(expressions)
    if len(expressions) == 1:
        return expressions[0]
    return " AND ".join(dict.fromkeys(term for each in expressions for term in _terms(each)))


def _terms(expression: str) -> list[str]:
    """Returns the terms of a conjunction; one with alternatives is one term, in parentheses."""
    terms: list[list[str]] = [[]]
    depth = 0
    for token in expression.split(" "):
        if depth == 0 and token == "OR":
            return [f"({expression})"]
        if depth == 0 and token == "AND":
            terms.append([])
        else:
            terms[-1].append(token)
        depth += token.count("(") - token.count(")")
    return [" ".join(term) for term in terms]


@dataclass(slots=True)
class _Parser:
    """A parser of tokens, by recursive descent; results have parentheses where SPDX needs them."""

    left: list[str]
    custom: dict[str, str] = field(default_factory=dict)

    def _next(self, *words: str) -> str:
        """Removes the next tokens and returns the last of them, if they are these words; else returns nothing."""
        if [token.lower() for token in self.left[: len(words)]] != list(words):
            return ""
        del self.left[: len(words)]
        return words[-1]

    def weakest(self) -> str:
        """Parses clauses with `, and` and `, or`, from left to right."""
        result = self._alternatives()
        while word := self._next(",", "and") or self._next(",", "or"):
            other = self._alternatives()
            result = all_of((result, other)) if word == "and" else f"{result} OR {other}"
        return result

    def _alternatives(self) -> str:
        terms = [self._all()]
        while self._next("or"):
            terms.append(self._all())
        return " OR ".join(terms)

    def _all(self) -> str:
        terms = [self._term()]
        while self._next("and"):
            terms.append(self._term())
        return all_of(terms)

    def _term(self) -> str:
        if self._next("("):
            result = self.weakest()
            if not self._next(")"):
                raise IndexError
            return f"({result})"
        words = [self.left.pop(0)]
        if self._next("with"):
            words.append("with")
            while words[-1].lower() not in ("exception", "exceptions"):
                words.append(self.left.pop(0))
        if not words[0][0].isalnum() or words[0].lower() in ("and", "or", "with"):
            raise IndexError
        return self._license(" ".join(words))

    def _license(self, name: str) -> str:
        spdx = _NAMES.get(name.lower()) or _gnu(name)
        if spdx:
            return spdx
        reference = _reference(name)
        self.custom[reference] = name
        return reference


def _gnu(name: str) -> str:
    """Returns SPDX's name of a license of the GNU project, or an empty string."""
    match = _GNU.fullmatch(name)
    if match is None:
        return ""
    family, version = match[1].upper(), f"{match[3]}.{match[4] or 0}"
    if version not in _GNU_VERSIONS[family] or (match[2] and family != "GFDL"):
        return ""
    invariants = "-no-invariants" if match[2] else ""
    return f"{family}-{version}{invariants}{'-or-later' if match[5] in ('+', '-or-later') else '-only'}"


def _reference(name: str) -> str:
    readable = _OTHER_CHARACTERS.sub("-", name.replace("+", "-or-later")).strip("-")
    return f"LicenseRef-debian-{readable or 'unnamed'}"
