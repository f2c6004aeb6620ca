"""Writes an inventory as CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json/)."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from tools.sbom.inventory import Distribution, Inventory, OwnFile, Package, package_url

PROPERTY = "rules_icos:"
"""Prefix of the names of properties: `source`, `source_version` and `part` of packages."""

_IMAGE = "image"


def to_cyclonedx(inventory: Inventory) -> str:
    """Returns a document in JSON; equal inventories give the same bytes, and others another serial number."""
    components = [
        *(_package(package, inventory.distribution) for package in inventory.packages),
        *map(_file, inventory.files),
    ]
    image = {"type": "operating-system", "bom-ref": _IMAGE, "name": inventory.name}
    content: dict[str, Any] = {
        "metadata": {
            "timestamp": inventory.created,
            "tools": {"components": [{"type": "application", "name": "rules_icos"}]},
            "component": image | ({"version": inventory.version} if inventory.version else {}),
        },
        "components": components,
        "dependencies": [{"ref": _IMAGE, "dependsOn": [each["bom-ref"] for each in components]}],
    }
    return document(content)


def document(content: dict[str, Any]) -> str:
    """Returns a CycloneDX document with some content; its serial number follows from the content."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    head = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}",
        "version": 1,
    }
    return json.dumps(head | content, indent=1, ensure_ascii=False) + "\n"


def _package(package: Package, distribution: Distribution) -> dict[str, Any]:
    purl = package_url(package, distribution)
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "supplier": {"name": distribution.name},
        "name": package.name,
        "version": package.version,
    }
    if package.maintainer:
        component["publisher"] = package.maintainer
    if package.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": package.sha256}]
    if package.license:
        component["licenses"] = [{"expression": package.license}]
    component["purl"] = purl
    references = {"website": package.homepage, "distribution": package.url}
    if any(references.values()):
        component["externalReferences"] = [{"type": kind, "url": url} for kind, url in references.items() if url]
    properties = [("source", package.source), ("source_version", package.source_version)]
    properties += [("part", part) for part in package.parts]
    component["properties"] = [{"name": PROPERTY + name, "value": value} for name, value in properties]
    return component


def _file(file: OwnFile) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file:{file.path}",
        "name": file.path,
        "hashes": [{"alg": "SHA-1", "content": file.sha1}, {"alg": "SHA-256", "content": file.sha256}],
    }
