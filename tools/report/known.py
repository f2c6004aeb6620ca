"""Reads what bills of materials say of packages: license, and where each one is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tools.core.errors import UserError
from tools.core.json_file import read_json
from tools.report.usage import PackageUsage
from tools.sbom.cyclonedx import PROPERTY


def known_packages(path: str) -> list[PackageUsage]:
    """Returns the packages of a CycloneDX document that the rules write, without their files.

    Raises:
        UserError: the file can't be read, or is not such a document.
    """
    content = read_json(path)
    try:
        if content.get("bomFormat") != "CycloneDX":
            raise UserError(f"{path}: is not a CycloneDX document; give the .cdx.json of the output group sbom")
        return [_package(each) for each in content["components"] if each["type"] == "library"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not a bill of materials of the rules: {type(error).__name__}: {error}") from error


def _package(entry: Mapping[str, Any]) -> PackageUsage:
    values = {each["name"].removeprefix(PROPERTY): each["value"] for each in entry["properties"]}
    return PackageUsage(
        name=entry["name"],
        version=entry["version"],
        architecture=entry["purl"].partition("arch=")[2].partition("&")[0],
        source=values["source"],
        license=next((each["expression"] for each in entry.get("licenses", [])), ""),
        url=next(_urls(entry), ""),
        sha256=next((each["content"] for each in entry.get("hashes", [])), ""),
    )


def _urls(entry: Mapping[str, Any]) -> Iterator[str]:
    for each in entry.get("externalReferences", []):
        if each["type"] == "distribution":
            yield each["url"]
