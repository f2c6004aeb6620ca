"""The lock file: the chosen wheels, in JSON, read by wheels.bzl."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import parse_wheel_filename

from third_party.python.resolve import Choice
from third_party.python.targets import Target
from tools.core.errors import UserError
from tools.core.json_file import read_json

_NOTE = "Made by `bazel run //third_party/python:lock` from requirements.in; not edited by hand."


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel.

    Attributes:
        url: URL of the file.
        sha256: SHA-256 of the file, in hexadecimal.
        cpus: CPUs for which it was chosen, sorted.
    """

    url: str
    sha256: str
    cpus: tuple[str, ...]

    @property
    def filename(self) -> str:
        """The file name in the URL."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Distribution:
    """A locked distribution.

    Attributes:
        version: version for all targets.
        license: license as stated by the distribution.
        requires: canonical names of its dependencies on any target, sorted.
        wheels: wheels of all targets, sorted by file name.
    """

    version: str
    license: str
    requires: tuple[str, ...]
    wheels: tuple[Wheel, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object of the lock file; `tags` is only informative, wheels.bzl uses `cpus`."""
        return {
            "version": self.version,
            "license": self.license,
            "requires": list(self.requires),
            "wheels": [
                {
                    "cpus": list(wheel.cpus),
                    "sha256": wheel.sha256,
                    "tags": sorted(map(str, parse_wheel_filename(wheel.filename)[3])),
                    "url": wheel.url,
                }
                for wheel in self.wheels
            ],
        }


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock.

    Attributes:
        manifest: digest of the manifest.
        distributions: distributions by canonical name.
    """

    manifest: str
    distributions: Mapping[str, Distribution]

    def versions(self) -> dict[str, str]:
        """Returns the version of each distribution."""
        return {name: distribution.version for name, distribution in self.distributions.items()}

    def to_text(self) -> str:
        """Returns the content of the lock file."""
        value = {
            "note": _NOTE,
            "manifest_sha256": self.manifest,
            "distributions": {name: self.distributions[name].to_json() for name in sorted(self.distributions)},
        }
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def merge(manifest: str, choices: Mapping[Target, Mapping[str, Choice]]) -> Lock:
    """Returns the lock with the choices of all targets, which must have the same versions."""
    by_name: dict[str, list[tuple[Target, Choice]]] = {}
    for target, chosen in choices.items():
        for name, choice in chosen.items():
            by_name.setdefault(name, []).append((target, choice))
    return Lock(manifest, {name: _distribution(found) for name, found in by_name.items()})


def _distribution(found: list[tuple[Target, Choice]]) -> Distribution:
    cpus: dict[tuple[str, str], set[str]] = {}
    for target, choice in found:
        cpus.setdefault((choice.url, choice.sha256), set()).add(target.cpu)
    wheels = [Wheel(url, sha256, tuple(sorted(names))) for (url, sha256), names in cpus.items()]
    requires = sorted(frozenset().union(*(choice.requires for _, choice in found)))
    first = found[0][1]
    return Distribution(
        first.version, first.license, tuple(requires), tuple(sorted(wheels, key=lambda wheel: wheel.filename))
    )


def read_lock(path: str | os.PathLike[str]) -> Lock:
    """Reads a lock file.

    Raises:
        UserError: the file cannot be read, or is not a lock.
    """
    value = read_json(path, advice="restore it from version control")
    try:
        return Lock(
            value["manifest_sha256"],
            {name: _from_json(distribution) for name, distribution in value["distributions"].items()},
        )
    except (LookupError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{os.fspath(path)}: not a lock ({reason}); restore it from version control") from error


def _from_json(value: Mapping[str, Any]) -> Distribution:
    wheels = [Wheel(w["url"], w["sha256"], tuple(w["cpus"])) for w in value["wheels"]]
    return Distribution(value["version"], value["license"], tuple(value["requires"]), tuple(wheels))
