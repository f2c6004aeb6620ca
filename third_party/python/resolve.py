"""Resolves a manifest for a target with pip: versions and wheels of all distributions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from third_party.python import pip_for
from third_party.python.manifest import Manifest
from third_party.python.targets import Target
from tools.core.errors import UserError
from tools.core.json_file import read_json

INDEX = "https://pypi.org/simple"
_FILES = "https://files.pythonhosted.org/packages/"

# The host's network settings, which don't affect the result.
_NETWORK_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir")


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen wheel of a distribution for a target.

    Attributes:
        name: canonical name of the distribution (PEP 503).
        version: chosen version.
        url: URL of the wheel, on the index's file host.
        sha256: SHA-256 of the wheel, in hexadecimal.
        license: SPDX expression, or as stated by the distribution; empty if it isn't.
        requires: canonical names of its dependencies on this target.
    """

    name: str
    version: str
    url: str
    sha256: str
    license: str
    requires: frozenset[str]


def resolve(manifest: Manifest, target: Target, pins: Mapping[str, str]) -> dict[str, Choice]:
    """Returns the chosen wheels of a manifest's distributions and their dependencies on a target, by canonical name.

    Args:
        manifest: the manifest.
        target: interpreter and machine.
        pins: versions to use, by canonical name.

    Raises:
        UserError: pip finds no solution, or cannot access the index.
    """
    report = _run_pip(manifest, target, pins)
    # pip_for.py depends on pip's internals, so check that pip used the markers of the target.
    if report["environment"] != target.environment():
        raise UserError(f"pip {report['pip_version']} used markers of the host instead of {target}; see pip_for.py")
    metadata: dict[str, dict[str, Any]] = {
        canonicalize_name(item["metadata"]["name"]): item for item in report["install"]
    }
    edges = _edges(manifest.requirements, metadata, target)
    return {name: _choice(name, item, edges[name]) for name, item in sorted(metadata.items())}


def _run_pip(manifest: Manifest, target: Target, pins: Mapping[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        constraints = Path(scratch, "constraints.txt")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in sorted(pins.items())))
        report = Path(scratch, "report.json")
        command = [sys.executable, pip_for.__file__, json.dumps(target.environment()), "install"]
        command += ["--isolated", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--progress-bar=off"]
        command += ["--dry-run", "--ignore-installed", "--only-binary=:all:"]
        command += [f"--index-url={INDEX}", f"--constraint={constraints}", f"--report={report}"]
        command += target.pip_arguments()
        command += map(str, manifest.requirements)
        done = subprocess.run(command, env=_environment(scratch), capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(
                f"{manifest.path}: pip finds no solution for {target}: {_reason(done.stdout + done.stderr)}"
            )
        result: dict[str, Any] = read_json(report)
        return result


def _environment(home: str) -> dict[str, str]:
    """Returns an environment without the host's configuration of pip."""
    kept = {name: value for name, value in os.environ.items() if name.lower() in _NETWORK_VARIABLES}
    return kept | {
        "HOME": home,
        "LC_ALL": "C.UTF-8",
        "PATH": os.defpath,
        "PIP_CONFIG_FILE": os.devnull,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TMPDIR": home,
    }


def _reason(output: str) -> str:
    """Returns the reason of a failure from pip's output, in one line."""
    cause = re.search(r"^The conflict is caused by:\n((?: +.*\n)+)", output, re.MULTILINE)
    if cause:
        return "; ".join(line.strip() for line in cause[1].splitlines())
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return " ".join(errors) or "without an error message"


def _edges(
    wanted: Iterable[Requirement], metadata: Mapping[str, dict[str, Any]], target: Target
) -> dict[str, frozenset[str]]:
    """Returns the dependencies of each distribution on the target, including those of extras.

    Raises:
        UserError: the distributions differ from those that pip installs.
    """
    edges: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(r.name), extra) for r in wanted if _applies(r, target, "") for extra in ("", *r.extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        needs = edges.setdefault(name, set())
        for line in metadata.get(name, {}).get("metadata", {}).get("requires_dist", []):
            requirement = Requirement(line)
            if not _applies(requirement, target, extra):
                continue
            needed = canonicalize_name(requirement.name)
            if needed != name:
                needs.add(needed)
            todo += [(needed, further) for further in ("", *requirement.extras)]
    if edges.keys() != metadata.keys():
        difference = ", ".join(sorted(edges.keys() ^ metadata.keys()))
        raise UserError(f"pip and the metadata of the wheels disagree for {target} about {difference}")
    return {name: frozenset(needs) for name, needs in edges.items()}


def _applies(requirement: Requirement, target: Target, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**target.environment(), "extra": extra})


def _choice(name: str, item: Mapping[str, Any], requires: frozenset[str]) -> Choice:
    metadata = item["metadata"]
    url = item["download_info"]["url"]
    if not url.startswith(_FILES):
        raise UserError(f"{name}: its wheel is at {url} instead of {_FILES}; check whether the index is redirected")
    sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return Choice(name, metadata["version"], url, sha256, _license(metadata), requires)


def _license(metadata: Mapping[str, Any]) -> str:
    """Returns the license: the expression (PEP 639), else the field if it has one line, else the classifiers."""
    stated: str = metadata.get("license_expression") or metadata.get("license", "")
    if stated and "\n" not in stated:
        return stated
    prefix = "License :: "
    classifiers = [c for c in metadata.get("classifier", []) if c.startswith(prefix)]
    return " AND ".join(sorted(c.rpartition(" :: ")[2] for c in classifiers))
