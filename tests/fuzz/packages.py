"""Fuzz targets for what archives and packages have: lists, Release files, advisories, copyright files, programs."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.fuzz.target import Target, document, lines, mutated, number
from tools.core.errors import UserError
from tools.debian.package_list import read_package_list
from tools.debian.release import parse_release
from tools.elf.dynamic import is_elf, machine_of, read_dynamic
from tools.image.extents import Image
from tools.sbom.advisories import read_advisories
from tools.sbom.copyright import licenses_of
from tools.sbom.vulnerabilities import Component, find_vulnerabilities, to_json, to_text, to_vex
from tools.testing.elf_files import elf_file

_HASH = b"0" * 64
_RELEASE: Sequence[bytes] = (
    b"Suite: stable",
    b"Codename: trixie",
    b"Date: Sat, 01 Feb 2025 10:00:00 UTC",
    b"NotAutomatic: yes",
    b"SHA256:",
    b" " + _HASH + b" 12 main/binary-amd64/Packages",
    b" " + _HASH + b" 7 main/x.gz",
)
_LIST: Sequence[bytes] = (
    b"Package: bash",
    b"Version: 5.2-1",
    b"Architecture: amd64",
    b"Filename: pool/bash.deb",
    b"SHA256: " + _HASH,
    b"Size: 7",
    b"Description: a shell",
    b" of GNU",
    b"",
)
_COPYRIGHT: Sequence[bytes] = (
    b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
    b"",
    b"Files: *",
    b"License: GPL-2+ or (MIT, and Expat)",
    b" text",
    b"License: GPL-2+ with OpenSSL exception",
    b"Files: a",
)
_NOTICES: Sequence[bytes] = (
    b"under the terms of the GNU General Public License as published by the Free Software Foundation; either version 2",
    b" of the License, or (at your option) any later version",
    b"Redistribution and use in source and binary forms, with or without modification, are permitted",
    b"must retain the above copyright, must reproduce the above copyright",
    b"this software is provided",
    b"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is",
    b"hereby granted, provided that",
    b" * # //",
)
_VERSIONS = ("", "0", "1.0-1", "1:2~rc1", "a:1", "9" * 5000)
_ENDS = ("fixed", "last_affected", "introduced", "x")
_ODD: Sequence[object] = (None, 1, "", "\ud800", "\x1b[2J", [], {}, ["a"], True)


def _document_of(samples: Sequence[bytes], separators: Sequence[bytes]) -> Callable[[random.Random], bytes]:
    def make(chance: random.Random) -> bytes:
        text = (document if chance.random() < 0.8 else lines)(chance, samples, separators)
        return mutated(chance, text, most=1)

    return make


def read_release(path: Path) -> None:
    """Reads a Release file, and takes from it what a lock needs."""
    release = parse_release(path.read_bytes().decode("utf-8", "replace"), path.name)
    release.is_of("trixie")
    with contextlib.suppress(UserError):
        _ = release.date
    release.package_list("main", "amd64")


def read_list(path: Path) -> None:
    """Reads a list of packages."""
    list(read_package_list(path, {"bash"}))


def make_advisories(chance: random.Random) -> bytes:
    """Returns advisories in the format of OSV or of Debian's tracker, with odd values in some places."""
    events = [{"introduced": chance.choice(_VERSIONS)}, {chance.choice(_ENDS): chance.choice(_VERSIONS)}]
    package = {"ecosystem": "Debian:13", "name": "bash"}
    ranges = {"type": chance.choice(("ECOSYSTEM", "GIT")), "events": events}
    affected = {"package": package, "ranges": [ranges], "versions": chance.choice((["1.0-1"], []))}
    advisory: dict[str, object] = {"id": "CVE-1", "affected": [affected], "upstream": ["CVE-2"], "aliases": []}
    state = {"status": chance.choice(("open", "resolved", "undetermined")), "fixed_version": chance.choice(_VERSIONS)}
    cve = {"releases": {"trixie": state}}
    tracker: dict[str, object] = {"bash": {"CVE-1": cve}}
    for _ in range(chance.randint(0, 2)):
        place: Any = chance.choice((package, ranges, affected, advisory, state, cve, tracker, *events))
        place[chance.choice((*place, "urgency"))] = chance.choice((*_ODD, number(chance)))
    content = chance.choice((tracker, advisory, [advisory], {"vulns": [advisory]}))
    return mutated(chance, json.dumps(content).encode(), most=1)


def read_and_report(path: Path) -> None:
    """Reads advisories, and reports them in all formats."""
    components = [Component("pkg:deb/debian/bash", "bash", "5.2-1", "bash", "5.2-1")]
    found = find_vulnerabilities(components, read_advisories(str(path), "trixie", "Debian:13"))
    for text in (to_text(found), to_json(found), to_vex(found, "urn:uuid:1", "1970-01-01T00:00:00Z")):
        text.encode()


def read_copyright(path: Path) -> None:
    """Reads the licenses of a package."""
    licenses_of(path.read_bytes().decode("utf-8", "replace"))


def make_elf(chance: random.Random) -> bytes:
    """Returns a program with changes in its headers and tables."""
    data = elf_file(needed=["libc.so.6", "libm.so.6"], interpreter="/lib64/ld-linux-x86-64.so.2", search="$ORIGIN/x")
    return mutated(chance, data, places=range(0, len(data), 2))


def read_elf(path: Path) -> None:
    """Reads the dynamic linking information of a file that has the magic number of ELF."""
    content = Image.from_file(path)
    if is_elf(content):
        with contextlib.suppress(ValueError):  # it is shorter than the field
            machine_of(content)
        read_dynamic(content, path.name)


TARGETS = {
    "advisories": Target(make_advisories, read_and_report, (UserError,)),
    "copyright": Target(_document_of(_COPYRIGHT, (b" ", b", ")), read_copyright, ()),
    "license_notices": Target(_document_of(_NOTICES, (b" ", b"\n * ")), read_copyright, ()),
    "elf": Target(make_elf, read_elf, (UserError,)),
    "package_list": Target(_document_of(_LIST, (b": ", b" ")), read_list, (UserError,)),
    "release": Target(_document_of(_RELEASE, (b" ", b": ")), read_release, (UserError,)),
}
