"""Writes an inventory as SPDX 2.3 in JSON.

https://spdx.github.io/spdx-spec/v2.3/; the field names are those of its JSON schema.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from tools.sbom.inventory import Distribution, Inventory, OwnFile, Package, package_url

_NAMESPACE = "https://spdx.org/spdxdocs"
_CREATOR = "Tool: rules_icos"
_IMAGE = "SPDXRef-image"
_NONE = "NOASSERTION"
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9.-]")
_MAINTAINER = re.compile(r"(.*?)\s*<(.*)>")


def to_spdx(inventory: Inventory) -> str:
    """Returns a document in JSON; equal inventories give the same bytes, and others another namespace."""
    packages = {_id("Package", package.name, package.architecture, package.version): package
                for package in inventory.packages}  # fmt: skip
    files = {_file_id(file): file for file in inventory.files}
    content: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": inventory.name,
        "creationInfo": {"created": inventory.created, "creators": [_CREATOR]},
        "packages": [
            _image(inventory),
            *(_package(identifier, package, inventory.distribution) for identifier, package in packages.items()),
        ],
        "files": [_file(identifier, file) for identifier, file in files.items()],
        "hasExtractedLicensingInfos": _custom_licenses(inventory),
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", _IMAGE),
            *(_relationship(_IMAGE, "CONTAINS", identifier) for identifier in (*packages, *files)),
        ],
    }
    content = {key: value for key, value in content.items() if value != []}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    content["documentNamespace"] = f"{_NAMESPACE}/{_OTHER_CHARACTERS.sub('-', inventory.name)}-{digest[:32]}"
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _id(*parts: str) -> str:
    """Returns an identifier (section 3.2); `+`, `~` and `:` of versions are kept apart from each other."""
    text = "-".join(parts)
    readable = _OTHER_CHARACTERS.sub("-", text)
    return f"SPDXRef-{readable}" + ("" if readable == text else f"-{hashlib.sha256(text.encode()).hexdigest()[:8]}")


def _file_id(file: OwnFile) -> str:
    return f"SPDXRef-File-{hashlib.sha256(file.path.encode()).hexdigest()[:32]}"


def _image(inventory: Inventory) -> dict[str, Any]:
    """Returns the package that stands for the image; the verification code (section 7.9) covers the listed files."""
    optional: dict[str, Any] = {"versionInfo": inventory.version} if inventory.version else {}
    if inventory.files:
        code = hashlib.sha1("".join(sorted(file.sha1 for file in inventory.files)).encode(), usedforsecurity=False)
        optional["packageVerificationCode"] = {"packageVerificationCodeValue": code.hexdigest()}
        optional["licenseInfoFromFiles"] = [_NONE]
    return optional | {
        "SPDXID": _IMAGE,
        "name": inventory.name,
        "downloadLocation": _NONE,
        "filesAnalyzed": bool(inventory.files),
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "supplier": _NONE,
        "licenseConcluded": _NONE,
        "licenseDeclared": _NONE,
        "copyrightText": _NONE,
    }


def _package(identifier: str, package: Package, distribution: Distribution) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "SPDXID": identifier,
        "name": package.name,
        "versionInfo": package.version,
        "supplier": f"Organization: {distribution.name}",
        "downloadLocation": package.url or _NONE,
        "filesAnalyzed": False,
        "sourceInfo": f"built from the source package {package.source} {package.source_version}",
        "licenseConcluded": _NONE,
        "licenseDeclared": package.license or _NONE,
        "copyrightText": _NONE,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package_url(package, distribution),
            }
        ],
    }
    if match := _MAINTAINER.fullmatch(package.maintainer):
        name = match[1].strip('"')
        entry["originator"] = f"Organization: {name} ({match[2]})"
    if package.homepage:
        entry["homepage"] = package.homepage
    if package.sha256:
        entry["checksums"] = [{"algorithm": "SHA256", "checksumValue": package.sha256}]
    if package.parts:
        entry["comment"] = f"in {', '.join(package.parts)}"
    return entry


def _file(identifier: str, file: OwnFile) -> dict[str, Any]:
    return {
        "SPDXID": identifier,
        "fileName": f".{file.path}" if file.path.startswith("/") else file.path,
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": file.sha1},
            {"algorithm": "SHA256", "checksumValue": file.sha256},
        ],
        "licenseConcluded": _NONE,
        "licenseInfoInFiles": [_NONE],
        "copyrightText": _NONE,
    }


def _custom_licenses(inventory: Inventory) -> list[dict[str, str]]:
    """Returns the licenses that SPDX's list doesn't have; the texts of one name may differ between packages."""
    texts: dict[str, dict[str, None]] = {}
    for package in inventory.packages:
        for reference, text in package.custom_licenses:
            texts.setdefault(reference, {})[text] = None
    return [
        {
            "licenseId": reference,
            "name": reference.removeprefix("LicenseRef-debian-"),
            "extractedText": "\n\n".join(texts[reference]),
        }
        for reference in sorted(texts)
    ]


def _relationship(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
