"""Reads what is known of vulnerabilities: Debian's security tracker and OSV, each from a file.

Debian's is https://security-tracker.debian.org/tracker/data/json: by source package and CVE, the state in each release.
OSV's is that of https://ossf.github.io/osv-schema/: one advisory, a list of them, or an object with them in `vulns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from tools.core.errors import UserError
from tools.core.json_file import read_json
from tools.debian.versions import compare_versions

_MOST_BYTES = 512 << 20
"""Largest file of advisories; that of the tracker has tens of megabytes."""

_TO_BE_ANALYZED = ("undetermined",)
_ORDER = ("fixed", "introduced", "last_affected")
"""The order of events of one version."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """A vulnerability of a source package, in one release of a distribution.

    Attributes:
        id: such as `CVE-2025-0001`.
        source: the source package.
        introduced: first affected version; empty if all before `fixed` are.
        fixed: first version that is not affected any more; empty if there is none, `0` if none was ever affected.
        last_affected: last affected version, where that is known and not the first one with the fix; may be empty.
        versions: the affected versions where they are listed one by one; then there are no `introduced` and `fixed`.
        undetermined: whether nobody has found out yet which versions are affected.
        without_versions: whether that is because the advisory has only ranges of other kinds, such as commits.
        urgency: as the tracker has it, such as `low`; may be empty.
    """

    id: str
    source: str
    introduced: str = ""
    fixed: str = ""
    last_affected: str = ""
    versions: frozenset[str] = frozenset()
    undetermined: bool = False
    without_versions: bool = False
    urgency: str = ""

    def status(self, version: str) -> str:
        """Returns the state of a version of the source package: affected, fixed, not_affected, under_investigation."""
        if self.undetermined:
            return "under_investigation"
        if self.versions:
            return "affected" if version in self.versions else "not_affected"
        if self.fixed == "0" or (self.introduced and compare_versions(version, self.introduced) < 0):
            return "not_affected"
        if self.last_affected and compare_versions(version, self.last_affected) > 0:
            return "not_affected"
        return "fixed" if self.fixed and compare_versions(version, self.fixed) >= 0 else "affected"


def read_advisories(path: str, release: str, ecosystem: str) -> list[Advisory]:
    """Returns the advisories in a file for one release.

    Args:
        path: the file.
        release: codename of the release, such as `trixie`, by which the tracker has states.
        ecosystem: OSV's name of the release, such as `Debian:13`.

    Raises:
        UserError: the file can't be read, or is in neither format.
    """
    content = read_json(path, most_bytes=_MOST_BYTES)
    try:
        found = list(_advisories(content, release, ecosystem))
        for advisory in found:
            _check(advisory)
        return found
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: is neither the JSON of Debian's security tracker nor that of OSV: {type(error).__name__}: {error}"
        ) from error


def _check(advisory: Advisory) -> None:
    """Raises a TypeError or ValueError if a value is not text, or no version where there should be one."""
    versions = (advisory.introduced, advisory.fixed, advisory.last_affected)
    for value in (advisory.id, advisory.source, advisory.urgency, *versions, *advisory.versions):
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is not a string")
        value.encode()  # raises for half of a surrogate pair, which JSON can have
    for version in versions:
        compare_versions(version, "0")


def _advisories(content: Any, release: str, ecosystem: str) -> Iterator[Advisory]:
    if isinstance(content, dict) and isinstance(content.get("vulns"), list):
        content = content["vulns"]
    elif isinstance(content, dict) and isinstance(content.get("affected"), list):
        content = [content]
    return _osv(content, ecosystem) if isinstance(content, list) else _tracker(content, release)


def _tracker(content: Mapping[str, Any], release: str) -> Iterator[Advisory]:
    for source, vulnerabilities in content.items():
        for name, vulnerability in vulnerabilities.items():
            state = vulnerability["releases"].get(release)
            if state is None:
                continue
            yield Advisory(
                name,
                source,
                fixed=state.get("fixed_version", "") if state["status"] == "resolved" else "",
                undetermined=state["status"] in _TO_BE_ANALYZED,
                urgency=state.get("urgency", ""),
            )


def _osv(content: list[Any], ecosystem: str) -> Iterator[Advisory]:
    for vulnerability in content:
        if vulnerability.get("withdrawn"):
            continue
        # Debian's own advisories (DSA) name what they are about.
        names = [name for name in vulnerability.get("upstream", []) if name.startswith("CVE-")]
        for affected in vulnerability["affected"]:
            if affected["package"]["ecosystem"] == ecosystem:
                for name in names or [_osv_name(vulnerability)]:
                    yield from _affected(name, affected)


def _affected(name: str, affected: Mapping[str, Any]) -> Iterator[Advisory]:
    """Yields an advisory for each range of versions, and one for the versions that are listed.

    Where there are only ranges of other things, such as commits of Git, nothing is known of versions: the advisory is
    undetermined, rather than left out.
    """
    source, versions = affected["package"]["name"], frozenset(affected.get("versions", []))
    ranges = affected.get("ranges", [])
    comparable = [each for each in ranges if each["type"] == "ECOSYSTEM"]
    for each in comparable:
        for introduced, fixed, last_affected in _parts(each["events"]):
            yield Advisory(name, source, introduced, fixed, last_affected)
    if versions:
        yield Advisory(name, source, versions=versions)
    elif ranges and not comparable:
        yield Advisory(name, source, undetermined=True, without_versions=True)


def _osv_name(vulnerability: Mapping[str, Any]) -> str:
    """Returns the CVE of an advisory if it has one, else its own name, without the prefix of Debian's."""
    names = [vulnerability["id"].removeprefix("DEBIAN-"), *vulnerability.get("aliases", [])]
    return str(next((name for name in names if name.startswith("CVE-")), vulnerability["id"]))


def _parts(events: list[Mapping[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yields the first affected, the first fixed and the last affected version of each part of a range.

    The first one is empty for all versions; of the others at most one is not empty. Events may be in any order.
    """
    introduced: str | None = None
    for kind, version in sorted(_versions(events), key=cmp_to_key(_compare)):
        if kind == "introduced":
            introduced = version if introduced is None else introduced
        elif introduced is not None:
            yield ("" if introduced == "0" else introduced), *((version, "") if kind == "fixed" else ("", version))
            introduced = None
    if introduced is not None:
        yield ("" if introduced == "0" else introduced), "", ""


def _versions(events: list[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    for event in events:
        for kind in ("introduced", "fixed", "last_affected"):
            if kind in event:
                yield kind, event[kind]


def _compare(left: tuple[str, str], right: tuple[str, str]) -> int:
    """Compares events by version; of one version the end comes after what begins there only for `last_affected`."""
    order = compare_versions(left[1], right[1])
    return order or _ORDER.index(left[0]) - _ORDER.index(right[0])
