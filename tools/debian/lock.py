"""The lock: what a manifest came to, package by package, as a JSON file that is read in reviews and by Starlark.

The same state of the archives gives the same bytes. third_party/debian/lock.bzl reads the same fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.core.errors import CheckError, UserError
from tools.debian.manifest import Manifest, PackageSet

FORMAT = 1
"""The version of the file's layout; another one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One package file.

    Attributes:
        name: of the package.
        version: Debian version, with epoch.
        architecture: of the package, which may be `all`.
        archive: the name of the archive that holds it.
        path: of the file, relative to the archive's URLs.
        sha256: of the file, in hex.
        size: of the file, in bytes.
    """

    name: str
    version: str
    architecture: str
    archive: str
    path: str
    sha256: str
    size: int

    @property
    def key(self) -> str:
        """What sets call the package: a lock holds one version of it for an architecture."""
        return f"{self.name}_{self.architecture}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedArchive:
    """An archive at one time.

    Attributes:
        urls: where its files are, best first; the last is a snapshot, if the archive has them.
        released: when each suite was released, as its Release file says, e.g. 2025-01-31T23:59:59Z.
    """

    urls: list[str]
    released: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lock:
    """A whole lock; `sets` gives packages by the set's name and the architecture."""

    manifest: Manifest
    archives: dict[str, LockedArchive]
    sets: dict[str, dict[str, list[LockedPackage]]]

    def to_json(self) -> str:
        """Returns the lock file.

        Raises:
            UserError: two sets hold different versions of a package.
        """
        packages: dict[str, LockedPackage] = {}
        for name in sorted(self.sets):
            for package in (p for locked in self.sets[name].values() for p in locked):
                if packages.setdefault(package.key, package) != package:
                    raise UserError(
                        f"sets.{name}: has version {package.version} of {package.key}, another set has "
                        f"{packages[package.key].version}; a lock holds one, so ask for the same in both"
                    )
        content = {
            "format": FORMAT,
            "manifest": self.manifest.digest(),
            "archives": {
                name: {"urls": archive.urls, "released": dict(sorted(archive.released.items()))}
                for name, archive in sorted(self.archives.items())
            },
            "sets": {name: self._set_to_json(self.manifest.sets[name], self.sets[name]) for name in sorted(self.sets)},
            "packages": {key: _package_to_json(packages[key]) for key in sorted(packages)},
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def versions(self) -> dict[str, str]:
        """Returns the version of each package by its key."""
        packages = (package for name in self.sets for locked in self.sets[name].values() for package in locked)
        return {package.key: package.version for package in packages}

    @staticmethod
    def _set_to_json(wanted: PackageSet, locked: dict[str, list[LockedPackage]]) -> dict[str, Any]:
        return {
            "provided": wanted.provided,
            "packages": {name: sorted(p.key for p in packages) for name, packages in sorted(locked.items())},
        }


def _package_to_json(package: LockedPackage) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "architecture": package.architecture,
        "archive": package.archive,
        "path": package.path,
        "sha256": package.sha256,
        "size": package.size,
    }


def check_lock(manifest: Manifest, lock: Path, command: str) -> None:
    """Checks that a lock was made from a manifest as it is now.

    Args:
        manifest: the manifest.
        lock: the lock file.
        command: what makes the lock anew, for the message.

    Raises:
        CheckError: it wasn't.
        UserError: the file can't be read, or isn't a lock.
    """
    try:
        content = json.loads(lock.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{lock}: cannot be read: {error.strerror}; make it: {command}") from error
    except ValueError as error:
        raise UserError(f"{lock}: isn't valid JSON: {error}; make it anew: {command}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{lock}: isn't a lock of format {FORMAT}; make it anew: {command}")
    if content.get("manifest") != manifest.digest():
        raise CheckError(f"{lock}: is out of step with its manifest, which has changed since; make it anew: {command}")


def locked_versions(lock: Path) -> dict[str, str]:
    """Returns the version of each package in a lock file by its key; none where the file is no lock of this format."""
    try:
        content = json.loads(lock.read_text(encoding="utf-8"))
        return {key: str(package["version"]) for key, package in content["packages"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
