"""Tests reports of vulnerabilities, by a bill of materials and files in the formats of Debian and OSV."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools.commands.vulnerability_report import Arguments, main
from tools.core.errors import CheckError, UserError
from tools.sbom.advisories import read_advisories
from tools.sbom.cyclonedx import to_cyclonedx
from tools.sbom.inventory import Distribution, Inventory, Package


def state(status: str, fixed: str = "", urgency: str = "", release: str = "trixie") -> dict[str, Any]:
    """Returns what the tracker has of a vulnerability."""
    values = {"status": status, "fixed_version": fixed, "urgency": urgency}
    return {"releases": {release: {name: value for name, value in values.items() if value}}}


TRACKER = {
    "openssl": {
        "CVE-2025-0001": state("resolved", "3.5.1-1+deb13u2", "high"),
        "CVE-2025-0002": state("open", urgency="low"),
        "CVE-2025-0003": state("resolved", "0", "unimportant"),
        "CVE-2025-0004": state("resolved", "3.5.1-1+deb13u1"),
        "CVE-2025-0005": state("undetermined"),
        "CVE-2025-0006": state("open", release="bookworm"),
    },
    "other": {"CVE-2025-0007": state("open")},
}


def osv(name: str, *events: dict[str, str], ecosystem: str = "Debian:13", **extra: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": ecosystem, "name": "openssl"},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
    }
    return {"id": name, "affected": [affected], **extra}


def package(name: str, version: str, source: str, source_version: str) -> Package:
    return Package(name=name, version=version, architecture="amd64", source=source, source_version=source_version)


@pytest.fixture
def sbom(tmp_path: Path) -> Path:
    found = Inventory(
        name="image",
        version="",
        created="1970-01-01T00:00:00Z",
        distribution=Distribution(id="debian", version="13", name="Debian"),
        packages=(
            package("libssl3t64", "3.5.1-1+deb13u1+b1", "openssl", "3.5.1-1+deb13u1"),
            package("bash", "5.2", "bash", "5.2"),
        ),
    )
    path = tmp_path / "image.cdx.json"
    path.write_text(to_cyclonedx(found))
    return path


def report(sbom: Path, content: Any, **options: Any) -> str:
    source, output = sbom.with_name("advisories.json"), sbom.with_name("report")
    source.write_text(json.dumps(content))
    main(Arguments(sbom=str(sbom), advisories=(str(source),), output=str(output), **options))
    return output.read_text()


def states(sbom: Path, content: Any) -> dict[str, tuple[str, str]]:
    found = json.loads(report(sbom, content, format="json", all=True))
    assert {each["package"] for each in found} <= {"libssl3t64"}
    return {each["vulnerability"]: (each["status"], each["fixed"]) for each in found}


def test_tracker(sbom: Path) -> None:
    assert states(sbom, TRACKER) == {
        "CVE-2025-0001": ("affected", "3.5.1-1+deb13u2"),
        "CVE-2025-0002": ("affected", ""),
        "CVE-2025-0003": ("not_affected", ""),
        "CVE-2025-0004": ("fixed", "3.5.1-1+deb13u1"),
        "CVE-2025-0005": ("under_investigation", ""),
    }


def test_osv(sbom: Path) -> None:
    advisories = [
        osv("DEBIAN-CVE-2025-0001", {"introduced": "0"}, {"fixed": "3.5.1-1+deb13u2"}),
        osv("DEBIAN-CVE-2025-0002", {"introduced": "0"}),
        osv("DSA-1-1", {"introduced": "0"}, {"fixed": "3.5.1-1"}, upstream=["CVE-2025-0003", "CVE-2025-0004"]),
        osv("GHSA-1", {"introduced": "4.0"}, {"fixed": "4.1"}, aliases=["CVE-2025-0005"]),
        osv("CVE-2025-0006", {"introduced": "0"}, ecosystem="Debian:12"),
        osv("CVE-2025-0007", {"introduced": "0"}, withdrawn="2025-01-01T00:00:00Z"),
        osv("GHSA-2", {"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "3.5"}, {"fixed": "3.5.2~rc1"}),
    ]
    expected = {
        "CVE-2025-0001": ("affected", "3.5.1-1+deb13u2"),
        "CVE-2025-0002": ("affected", ""),
        "CVE-2025-0003": ("fixed", "3.5.1-1"),
        "CVE-2025-0004": ("fixed", "3.5.1-1"),
        "CVE-2025-0005": ("not_affected", "4.1"),
    }
    for content in (advisories, {"vulns": advisories}):
        assert {name: each for name, each in states(sbom, content).items() if name != "GHSA-2"} == expected
    assert states(sbom, advisories[0]) == {"CVE-2025-0001": expected["CVE-2025-0001"]}
    ranges = json.loads(report(sbom, advisories[-1], format="json", all=True))
    assert [(each["status"], each["fixed"]) for each in ranges] == [("affected", "3.5.2~rc1")]
    listed = [osv(name) for name in ("CVE-2025-0008", "CVE-2025-0009")]
    for each, version in zip(listed, ("3.5.1-1+deb13u1", "3.5.1-1"), strict=True):
        each["affected"][0]["versions"] = ["1.0", version]
    assert states(sbom, listed) == {"CVE-2025-0008": ("affected", ""), "CVE-2025-0009": ("not_affected", "")}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([{"introduced": "0"}, {"last_affected": "3.5.1-1+deb13u1"}], ("affected", "")),
        ([{"introduced": "0"}, {"last_affected": "3.5.1-1+deb13u0"}], ("not_affected", "")),
        ([{"introduced": "3.6"}, {"last_affected": "3.7"}], ("not_affected", "")),
        ([{"last_affected": "3.4"}, {"introduced": "3.5.1"}, {"introduced": "0"}], ("affected", "")),
        ([{"fixed": "3.5.1-1+deb13u1"}, {"introduced": "0"}], ("fixed", "3.5.1-1+deb13u1")),
        ([{"introduced": "3.5.1-1+deb13u1"}, {"last_affected": "3.5.1-1+deb13u1"}], ("affected", "")),
        ([{"introduced": "0"}, {"fixed": "3.5"}, {"introduced": "3.5"}, {"last_affected": "3.6"}], ("affected", "")),
    ],
)
def test_events_of_osv(sbom: Path, events: list[dict[str, str]], expected: tuple[str, str]) -> None:
    assert states(sbom, osv("CVE-2025-0001", *events)) == {"CVE-2025-0001": expected}


@pytest.mark.parametrize("kind", ["GIT", "SEMVER"])
def test_ranges_that_are_no_versions_of_packages(sbom: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    advisory = osv("CVE-2025-0001", {"introduced": "0"}, {"fixed": "1" * 40})
    advisory["affected"][0]["ranges"][0]["type"] = kind
    assert states(sbom, advisory) == {"CVE-2025-0001": ("under_investigation", "")}
    assert capfd.readouterr().err == (
        "warning: 1 advisories have no versions of packages, but only those of other kinds, such as commits; the first "
        "is CVE-2025-0001 of openssl; they count as under_investigation\n"
    )
    advisory["affected"][0]["versions"] = ["3.5.1-1+deb13u1"]
    assert states(sbom, advisory) == {"CVE-2025-0001": ("affected", "")}
    assert capfd.readouterr().err == ""


def test_listed_versions_count_beside_ranges(sbom: Path) -> None:
    advisory = osv("CVE-2025-0001", {"introduced": "0"}, {"fixed": "1.0"})
    advisory["affected"][0]["versions"] = ["3.5.1-1+deb13u1"]
    assert states(sbom, advisory) == {"CVE-2025-0001": ("affected", "")}


def test_text(sbom: Path) -> None:
    assert report(sbom, TRACKER).splitlines() == [
        "PACKAGE     VERSION             VULNERABILITY  STATUS               FIXED IN         URGENCY",
        "libssl3t64  3.5.1-1+deb13u1+b1  CVE-2025-0001  affected             3.5.1-1+deb13u2  high",
        "libssl3t64  3.5.1-1+deb13u1+b1  CVE-2025-0002  affected             -                low",
        "libssl3t64  3.5.1-1+deb13u1+b1  CVE-2025-0005  under_investigation  -                -",
        "2 affected, 1 under_investigation, 0 fixed, 0 not_affected",
    ]


def test_vex(sbom: Path) -> None:
    text = report(sbom, TRACKER, format="vex", all=True)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == report(sbom, TRACKER, format="vex", all=True)
    found = json.loads(text)["vulnerabilities"]
    assert {each["id"]: each["analysis"]["state"] for each in found} == {
        "CVE-2025-0001": "exploitable",
        "CVE-2025-0002": "exploitable",
        "CVE-2025-0003": "not_affected",
        "CVE-2025-0004": "resolved",
        "CVE-2025-0005": "in_triage",
    }
    bill = json.loads(sbom.read_text())
    link = f"urn:cdx:{bill['serialNumber'].removeprefix('urn:uuid:')}/1#"
    assert found[0]["affects"] == [{"ref": link + bill["components"][0]["bom-ref"]}]


def test_exit_status(sbom: Path) -> None:
    with pytest.raises(
        CheckError, match=r"1 fixes are missing, the first is CVE-2025-0001 in libssl3t64 3\.5\.1-1\+deb13u2"
    ):
        report(sbom, TRACKER, fail_if_affected=True)
    report(sbom, {"openssl": {"CVE-1": state("open")}}, fail_if_affected=True)


@pytest.mark.parametrize(
    "content",
    [
        3,
        {"openssl": []},
        [{"id": "x"}],
        [osv("x", {"introduced": "0"}, {"fixed": "a:b"})],
        [osv("x", {"introduced": "1"}, {"fixed": "a:b"})],
        [osv("\ud800", {"introduced": "0"})],
        [osv("x", {"introduced": "0"}, {"fixed": "\ud800"})],
        {"openssl": {"CVE-1": {"releases": {"trixie": {"status": "open", "urgency": []}}}}},
        {"openssl": {"CVE-1": {"releases": {"trixie": {}}}}},
    ],
)
def test_other_files(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"x\.json: is neither the JSON of Debian's security tracker nor that of OSV"):
        read_advisories(str(path), "trixie", "Debian:13")


def test_nested_too_deeply(tmp_path: Path, sbom: Path) -> None:
    path = tmp_path / "x.json"
    for target in (path, sbom):
        target.write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"x\.json:1: has more than 100 objects and lists"):
        read_advisories(str(path), "trixie", "Debian:13")
    with pytest.raises(UserError, match=r"image\.cdx\.json:1: has more than 100 objects and lists"):
        report(sbom, TRACKER)


@pytest.mark.parametrize("text", ["{}", '{"bomFormat": "CycloneDX"}', "[]"])
def test_other_bills(sbom: Path, text: str) -> None:
    sbom.write_text(text)
    with pytest.raises(UserError, match=r"image\.cdx\.json: is not a"):
        report(sbom, TRACKER)
