"""Creates the entry of a version in a registry of Bazel modules.

See https://bazel.build/external/registry#index_registry, and the documentation of the Bazel Central Registry. The
templates in `.bcr/` are those of https://github.com/bazel-contrib/publish-to-bcr.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from dev.release.module import Module
from tools.core.errors import UserError
from tools.core.json_spec import read_object

METADATA, SOURCE, PRESUBMIT = "metadata.template.json", "source.template.json", "presubmit.yml"
_GITHUB = "github:"


def integrity(data: bytes) -> str:
    """Returns a checksum in the form of Subresource Integrity (https://www.w3.org/TR/SRI/)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode()


def published_url(templates: Path, module: Module) -> str:
    """Returns the URL of a version's archive, from the templates.

    Raises:
        UserError: the templates don't have it.
    """
    path = templates / METADATA
    repositories = read_object(path).get("repository", [])
    names = [name.removeprefix(_GITHUB) for name in repositories if name.startswith(_GITHUB)]
    if not names:
        raise UserError(f"{path}: repository: no entry starts with {_GITHUB}; add one, or use --url")
    owner, _, repository = names[0].partition("/")
    url = read_object(templates / SOURCE).get("url")
    if not isinstance(url, str):
        raise UserError(f"{templates / SOURCE}: url: is missing")
    words = {"OWNER": owner, "REPO": repository, "TAG": f"v{module.version}", "VERSION": module.version}
    for word, value in words.items():
        url = url.replace(f"{{{word}}}", value)
    return url


def source_json(url: str, archive: bytes, folder: str, docs_url: str | None = None) -> str:
    """Returns the content of source.json of a version.

    Args:
        url: URL of the archive.
        archive: content of the archive.
        folder: directory in the archive that contains all files.
        docs_url: URL of the archive with the reference, if there is one.
    """
    docs = {} if docs_url is None else {"docs_url": docs_url}
    return _text(docs | {"integrity": integrity(archive), "strip_prefix": folder, "url": url})


def metadata_json(templates: Path, module: Module, registry: Path | None) -> str:
    """Returns the content of metadata.json of the module, with the version added.

    Args:
        templates: directory of the templates.
        module: the module and version to release.
        registry: checkout of the registry, whose list of versions is continued; None without one.

    Raises:
        UserError: the registry already has this version.
    """
    metadata = read_object(templates / METADATA)
    known = registry / "modules" / module.name / "metadata.json" if registry else None
    old = read_object(known) if known and known.exists() else {}
    versions = old.get("versions", [])
    if module.version in versions:
        raise UserError(f"{known}: has version {module.version}; choose the next version")
    metadata["versions"] = [*versions, module.version]
    metadata["yanked_versions"] = old.get("yanked_versions", {})
    return _text(metadata)


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=4) + "\n"
