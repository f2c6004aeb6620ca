"""Finds the vulnerabilities of the packages that a bill of materials lists, and reports them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tools.core.errors import UserError
from tools.core.json_file import read_json
from tools.core.text import escaped
from tools.debian.versions import compare_versions
from tools.sbom.advisories import Advisory
from tools.sbom.cyclonedx import PROPERTY, document

_ORDER = ("affected", "under_investigation", "fixed", "not_affected")
_STATES = {
    "affected": "exploitable",
    "under_investigation": "in_triage",
    "fixed": "resolved",
    "not_affected": "not_affected",
}
"""States of CycloneDX by ours, which are those of OpenVEX."""


@dataclass(frozen=True, slots=True)
class Component:
    """A package of a bill of materials: its reference, name, version, and source package."""

    reference: str
    name: str
    version: str
    source: str
    source_version: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A package and a vulnerability of its source package; see `Advisory`."""

    package: str
    version: str
    source: str
    vulnerability: str
    status: str
    fixed: str
    urgency: str
    reference: str


def read_components(path: str) -> tuple[str, list[Component]]:
    """Returns the serial number and the packages of a bill of materials that `to_cyclonedx` wrote.

    Raises:
        UserError: the file can't be read, or is not such a document.
    """
    content = read_json(path)
    try:
        if content.get("bomFormat") != "CycloneDX":
            raise UserError(f"{path}: is not a CycloneDX document; give the .cdx.json of the output group sbom")
        found = [_component(each) for each in content["components"] if each["type"] == "library"]
        return str(content["serialNumber"]), found
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not a bill of materials of the rules: {type(error).__name__}: {error}") from error


def _component(entry: Mapping[str, Any]) -> Component:
    values = {each["name"].removeprefix(PROPERTY): each["value"] for each in entry["properties"]}
    compare_versions(values["source_version"], "0")  # raises ValueError for an invalid version
    found = (entry["bom-ref"], entry["name"], entry["version"], values["source"], values["source_version"])
    "".join(found).encode()  # raises for other types than text, and for half of a surrogate pair
    return Component(*found)


def find_vulnerabilities(components: Iterable[Component], advisories: Iterable[Advisory]) -> list[Finding]:
    """Returns the vulnerabilities of packages, first those that they are affected by.

    Each is there once for a package: where ranges of versions or files of advisories disagree, the worst state counts.
    """
    by_source: dict[str, list[Advisory]] = {}
    for advisory in advisories:
        by_source.setdefault(advisory.source, []).append(advisory)
    found: dict[tuple[str, str], Finding] = {}
    for each in components:
        for advisory in by_source.get(each.source, []):
            status = advisory.status(each.source_version)
            fixed = "" if advisory.fixed == "0" else advisory.fixed
            finding = Finding(
                each.name, each.version, each.source, advisory.id, status, fixed, advisory.urgency, each.reference
            )
            key = (each.reference, advisory.id)
            found[key] = min(found.get(key, finding), finding, key=_severity)
    return sorted(found.values(), key=lambda finding: (_severity(finding)[0], finding.package, finding.vulnerability))


def _severity(finding: Finding) -> tuple[int, bool]:
    """Returns a sort key: the worst state first, and of equal ones that with a fix."""
    return _ORDER.index(finding.status), not finding.fixed


def to_text(findings: Iterable[Finding]) -> str:
    """Returns a table for people, with a line for each finding, and a summary."""
    findings = list(findings)
    rows = [("PACKAGE", "VERSION", "VULNERABILITY", "STATUS", "FIXED IN", "URGENCY")]
    rows += [
        (each.package, each.version, each.vulnerability, each.status, each.fixed or "-", each.urgency or "-")
        for each in findings
    ]
    rows = [tuple(map(escaped, row)) for row in rows]  # type: ignore[misc]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    counts = [f"{sum(each.status == status for each in findings)} {status}" for status in _ORDER]
    return "\n".join([*lines, ", ".join(counts)]) + "\n"


def to_json(findings: Iterable[Finding]) -> str:
    """Returns a list of objects with the fields of `Finding`."""
    return json.dumps([asdict(each) for each in findings], indent=1, ensure_ascii=False) + "\n"


def to_vex(findings: Iterable[Finding], serial_number: str, created: str) -> str:
    """Returns a CycloneDX 1.6 VEX document; it refers to packages of the bill of materials by BOM-Links.

    Args:
        findings: the findings.
        serial_number: of the bill of materials.
        created: time of the document, such as 1970-01-01T00:00:00Z.
    """
    link = f"urn:cdx:{serial_number.removeprefix('urn:uuid:')}/1#"
    groups: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        groups.setdefault((each.vulnerability, each.status), []).append(each)
    vulnerabilities = []
    for (name, status), several in groups.items():
        entry: dict[str, Any] = {"bom-ref": f"{name}:{status}", "id": name, "analysis": {"state": _STATES[status]}}
        if fixed := sorted({f"{each.source} {each.fixed}" for each in several if each.fixed}):
            entry["recommendation"] = f"fixed in {', '.join(fixed)}"
        entry["affects"] = [{"ref": link + reference} for reference in dict.fromkeys(e.reference for e in several)]
        vulnerabilities.append(entry)
    return document({"metadata": {"timestamp": created}, "vulnerabilities": vulnerabilities})
