"""Finds licenses in copyright files that are plain text, by the notices that they quote.

Only wording that stands for one license is taken: the notices of the GNU project, of Apache and Python, and the texts
of BSD, MIT and ISC. What else such a file says is not understood, so the result never is all of a package's licenses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SPACE = re.compile(r"[\s*#|/]*\s[\s*#|/]*")
"""White space, with the characters that begin lines of comments."""

_GNU = re.compile(
    r"gnu (?P<kind>lesser |library |affero |)general public license,?(?: as)? (?P<notice>published by the free "
    r"software foundation[;,:]? )?(?P<either>either )?version (?P<version>[0-9](?:\.[0-9])?)(?P<rest>.{0,80})"
)
_LATER = re.compile(r"(?: of the license)?,? \(?(?:or,? ?)?\(?(?:at your option,?\)?,? ?)?(?:or )?\(?any later")
_ONLY = re.compile(r"(?: of the license)?[.;] ")
_GNU_NAMES = {
    "": {"1": "GPL-1.0", "2": "GPL-2.0", "3": "GPL-3.0"},
    "lesser ": {"2.1": "LGPL-2.1", "3": "LGPL-3.0"},
    "library ": {"2": "LGPL-2.0"},
    "affero ": {"3": "AGPL-3.0"},
}
_PHRASES = {
    "Apache-2.0": "licensed under the apache license, version 2.0",
    "PSF-2.0": "python software foundation license version 2",
}
_BSD = "redistribution and use in source and binary forms, with or without modification, are permitted"
_BSD_CONDITIONS = ("must retain the above copyright", "must reproduce the above copyright")
_MIT = "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated"
_ISC = re.compile(
    r"permission to use, copy, modify,? (?:and|and/or|or) distribute this software for any purpose with or without fee "
    r"is hereby granted(?P<rest>.{0,110})"
)
_KEPT = ", provided that the above copyright notice and this permission notice appear in all copies"


def noticed_licenses(text: str) -> list[str]:
    """Returns SPDX's names of the licenses whose notices or texts are in a file, in the order of the names."""
    plain = _SPACE.sub(" ", text.lower())
    found = {*_gnu(plain), *_bsd(plain), *_mit(plain), *_isc(plain)}
    found |= {name for name, phrase in _PHRASES.items() if phrase in plain}
    return sorted(found)


def _gnu(plain: str) -> Iterator[str]:
    for match in _GNU.finditer(plain):
        name = _GNU_NAMES[match["kind"]].get(match["version"].removesuffix(".0"))
        later = _LATER.match(match["rest"])
        if name and later:
            yield f"{name}-or-later"
        elif name and match["notice"] and not match["either"] and _ONLY.match(match["rest"]):
            yield f"{name}-only"


def _bsd(plain: str) -> Iterator[str]:
    for part in plain.split(_BSD)[1:]:
        conditions, found, _ = part.partition("this software is provided")
        if not found or not all(each in conditions for each in _BSD_CONDITIONS):
            continue
        if "advertising materials" in conditions:
            yield "BSD-4-Clause"
        elif "endorse or promote products" in conditions:
            yield "BSD-3-Clause"
        else:
            yield "BSD-2-Clause"


def _mit(plain: str) -> Iterator[str]:
    for part in plain.split(_MIT)[1:]:
        conditions, found, warranty = part.partition('the software is provided "as is"')
        if found and "this permission notice shall be included in all copies" in conditions:
            yield "X11" if warranty[:900].find("except as contained in this notice") >= 0 else "MIT"


def _isc(plain: str) -> Iterator[str]:
    for match in _ISC.finditer(plain):
        if match["rest"].startswith(_KEPT):
            yield "ISC"
        elif match["rest"].startswith("."):
            yield "0BSD"
