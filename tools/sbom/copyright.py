"""Licenses of a package from its copyright file: machine-readable (copyright-format 1.0, DEP 5), or plain text.

https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from tools.sbom.control import stanzas
from tools.sbom.license_expression import all_of, parse_expression
from tools.sbom.license_notices import noticed_licenses

_FORMAT = re.compile(r"https?://(?:www\.)?debian\.org/doc/packaging-manuals/copyright-format/1\.0/?")


@dataclass(frozen=True, slots=True)
class Licenses:
    """The licenses of a package.

    Attributes:
        expression: SPDX expression (SPDX 2.3, annex D); empty if there is no copyright file, or one without licenses.
        custom: text by `LicenseRef-…` of licenses in the expression that SPDX's list doesn't have.
    """

    expression: str
    custom: tuple[tuple[str, str], ...] = ()


def licenses_of(text: str) -> Licenses:
    """Returns the licenses that a copyright file names for the files of a package, all of which apply."""
    parts = list(stanzas(text))
    if not parts or not _FORMAT.fullmatch(parts[0].get("format", "").strip()):
        return _licenses_of_plain(text)
    named = [each.get("license", "").partition("\n") for each in parts]
    texts = {_key(name): body for name, _, body in named if body}
    custom: dict[str, str] = {}
    expressions = set()
    for stanza, (name, _, body) in zip(parts, named, strict=True):
        if name and ("files" in stanza or stanza is parts[0]):
            parsed = parse_expression(name)
            expressions.add(parsed.text)
            custom |= {ref: body or texts.get(_key(short), "") or short for ref, short in parsed.custom.items()}
    if not expressions:
        return Licenses("")
    return Licenses(all_of(sorted(expressions)), tuple(sorted(custom.items())))


def _licenses_of_plain(text: str) -> Licenses:
    """Returns the licenses that are found in plain text, and as one more license the text, which may have others."""
    if not text.strip():
        return Licenses("")
    reference = f"LicenseRef-debian-copyright-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return Licenses(all_of([*noticed_licenses(text), reference]), ((reference, text),))


def _key(name: str) -> str:
    return " ".join(name.lower().split())
