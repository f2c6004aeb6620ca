"""Licenses of a package from its machine-readable copyright file (DEP 5, copyright-format 1.0).

https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tools.sbom.control import stanzas
from tools.sbom.license_expression import all_of, parse_expression

_FORMAT = re.compile(r"https?://(?:www\.)?debian\.org/doc/packaging-manuals/copyright-format/1\.0/?")


@dataclass(frozen=True, slots=True)
class Licenses:
    """The licenses of a package.

    Attributes:
        expression: SPDX expression (SPDX 2.3, annex D); empty if the file is not machine-readable.
        custom: text by `LicenseRef-…` of licenses in the expression that SPDX's list doesn't have.
    """

    expression: str
    custom: tuple[tuple[str, str], ...] = ()


def licenses_of(text: str) -> Licenses:
    """Returns the licenses that a copyright file names for the files of a package, all of which apply."""
    parts = list(stanzas(text))
    if not parts or not _FORMAT.fullmatch(parts[0].get("format", "").strip()):
        return Licenses("")
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


def _key(name: str) -> str:
    return " ".join(name.lower().split())
