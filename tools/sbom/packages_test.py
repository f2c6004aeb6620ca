"""Tests the bills of materials of a root tree with Debian packages, against the lock that they were installed from."""

import json
import os
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

FILES = {path.rpartition(".")[0].rpartition(".")[2]: path for path in os.environ["SBOM"].split()}


def locked() -> dict[tuple[str, str], str]:
    """Returns the SHA-256 of the packages of the set by name and version."""
    lock: dict[str, Any] = json.loads(Path(os.environ["LOCK"]).read_text())
    packages = [lock["packages"][key] for key in lock["sets"]["minimal"]["packages"]["amd64"]]
    return {(package["name"], package["version"]): package["sha256"] for package in packages}


def test_spdx() -> None:
    document = parse_file(FILES["spdx"])
    assert validate_full_spdx_document(document) == []
    _, *packages = document.packages
    assert {(package.name, package.version): package.checksums[0].value for package in packages} == locked()
    assert "./opt/example" in {file.name for file in document.files}
    assert "./usr/bin/dpkg" not in {file.name for file in document.files}


def test_cyclonedx() -> None:
    text = Path(FILES["cdx"]).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    libraries = [each for each in json.loads(text)["components"] if each["type"] == "library"]
    assert {(each["name"], each["version"]): each["hashes"][0]["content"] for each in libraries} == locked()


def test_licenses() -> None:
    """Each package has some; GCC's and a few others have copyright files of plain text."""
    content = json.loads(Path(FILES["spdx"]).read_text())
    unknown = [each["name"] for each in content["packages"][1:] if each["licenseDeclared"] == "NOASSERTION"]
    assert unknown == []
