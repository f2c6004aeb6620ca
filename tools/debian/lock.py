"""The lock file: the packages that a manifest was resolved to, in JSON.

It is deterministic, for review: the same state of the archives gives the same bytes.
third_party/debian/repositories.bzl reads it, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.core.errors import CheckError, UserError
from tools.core.json_file import read_json
from tools.debian.lock_content import content_error
from tools.debian.manifest import Manifest, PackageSet

FORMAT = 1
"""Version of the file format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """A package file.

    Attributes:
        name: package name.
        version: Debian version, with epoch.
        architecture: architecture of the package; may be `all`.
        archive: name of its archive.
        path: path of the file, relative to the archive's URLs.
        sha256: SHA-256 of the file, in hexadecimal.
        size: size of the file in bytes.
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
        """The key of the package in sets: a lock has one version for each name and architecture."""
        return f"{self.name}_{self.architecture}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedArchive:
    """An archive at the time of the lock.

    Attributes:
        urls: base URLs of its files, in order of preference; the last is a snapshot, if the archive has snapshots.
        released: by suite, the date of its Release file, e.g. 2025-01-31T23:59:59Z.
    """

    urls: list[str]
    released: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock.

    Attributes:
        manifest: what was resolved.
        archives: the archives by name.
        sets: the packages by name of the set and architecture.
        releases: the signed Release files by the names that tools/debian/evidence.py gives them; kept beside the lock.
    """

    manifest: Manifest
    archives: dict[str, LockedArchive]
    sets: dict[str, dict[str, list[LockedPackage]]]
    releases: dict[str, bytes] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns the content of the lock file.

        Raises:
            UserError: two sets have different versions of a package.
        """
        packages: dict[str, LockedPackage] = {}
        for name in sorted(self.sets):
            for package in (p for locked in self.sets[name].values() for p in locked):
                if packages.setdefault(package.key, package) != package:
                    raise UserError(
                        f"sets.{name}: has version {package.version} of {package.key}, another set has "
                        f"{packages[package.key].version}; a lock has only one, so use the same in both"
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


def check_lock(manifest: Manifest, lock: Path, command: str) -> dict[str, Any]:
    """Checks that a lock was created from the current content of a manifest, and that its content is valid.

    Args:
        manifest: the manifest.
        lock: the lock file.
        command: command that updates the lock, for the message.

    Returns:
        The decoded lock.

    Raises:
        CheckError: the manifest has changed, or the lock was changed by hand: another mirror, an invalid hash, a
            missing package.
        UserError: the file can't be read, or isn't a lock.
    """
    content = read_json(lock, advice=f"create it: {command}")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{lock}: isn't a lock of format {FORMAT}; update it: {command}")
    if content.get("manifest") != manifest.digest():
        raise CheckError(f"{lock}: is outdated: its manifest has changed; update it: {command}")
    if wrong := content_error(manifest, content):
        raise CheckError(f"{lock}: {wrong}; update it: {command}")
    return content


def locked_versions(lock: Path) -> dict[str, str]:
    """Returns the version of each package in a lock file by key; empty if the file is not a lock of this format."""
    try:
        content = read_json(lock)
        return {key: str(package["version"]) for key, package in content["packages"].items()}
    except (UserError, LookupError, TypeError, AttributeError):
        return {}


def check_not_older(lock: Lock, old: Path) -> None:
    """Checks that the archives are not older than those of an earlier lock, as an outdated or replayed mirror is.

    Args:
        lock: the new lock.
        old: file of the earlier lock; nothing is checked if it is not a lock of this format.

    Raises:
        CheckError: a suite is older.
    """
    try:
        archives = read_json(old)["archives"]
        known = {(name, suite): str(date) for name in archives for suite, date in archives[name]["released"].items()}
    except (UserError, LookupError, TypeError, AttributeError):
        return
    for name, archive in lock.archives.items():
        for suite, date in archive.released.items():
            if date < known.get((name, suite), ""):  # both are in UTC, in one format
                raise CheckError(
                    f"{old}: was made from {suite} of {known[name, suite]}, but the mirror has that of {date}; "
                    "use another mirror, or --allow_older to lock older packages"
                )
