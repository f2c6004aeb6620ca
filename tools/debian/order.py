"""Determines the order of installation of packages, and which ones to extract before dpkg runs.

Maintainer scripts may rely on essential packages and on pre-dependencies (Debian Policy, sections 3.8 and 7.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")

Control = Mapping[str, str]
"""The fields of a package's control file."""


def _names(control: Control, *fields: str) -> Iterator[str]:
    """Yields the package names in relationship fields, such as `a (>= 1) | b, c:any`, including all alternatives."""
    for field in fields:
        for relation in re.split("[,|]", control.get(field, "")):
            if match := _NAME.match(relation.strip()):
                yield match[0]


def installation_order(controls: Iterable[Control]) -> list[str]:
    """Returns the names of packages in an order that depends only on the packages.

    base-passwd is first, since other scripts need its users, then the other essential packages, then the rest. dpkg
    configures packages in the order of dependencies, independently of this order.
    """
    keys = [(c["Package"] != "base-passwd", c.get("Essential") != "yes", c["Package"]) for c in controls]
    return [name for _, _, name in sorted(keys)]


def needed_first(controls: Sequence[Control]) -> set[str]:
    """Returns the names of the packages that must be extracted before any maintainer script runs.

    These are the essential packages, all pre-dependencies, and the dependencies of these.
    """
    by_name: dict[str, list[Control]] = {}
    for control in controls:
        for name in (control["Package"], *_names(control, "Provides")):
            by_name.setdefault(name, []).append(control)
    waiting = [control for control in controls if control.get("Essential") == "yes"]
    waiting += [found for c in controls for name in _names(c, "Pre-Depends") for found in by_name.get(name, [])]
    needed: set[str] = set()
    while waiting:
        control = waiting.pop()
        if control["Package"] not in needed:
            needed.add(control["Package"])
            waiting += [found for name in _names(control, "Depends", "Pre-Depends") for found in by_name.get(name, [])]
    return needed
