"""Proves that a lock has what a signed archive had: lock ← package lists ← Release file ← key.

Nothing is downloaded: the Release files are those of the lock's evidence (tools/debian/evidence.py), and the package
lists are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tools.core.errors import CheckError
from tools.debian.archive_urls import format_time
from tools.debian.evidence import evidence_folder, package_lists, read_release
from tools.debian.lock import check_lock
from tools.debian.manifest import Manifest
from tools.debian.package_list import ListedPackage, read_package_list, sha256_by_file
from tools.debian.release import Release
from tools.debian.versions import compare_versions

_Key = tuple[str, str, str]
"""Archive, name and architecture of a package."""


def prove_lock(manifest: Manifest, lock: Path, keyrings: Path, lists: Iterable[Path], command: str) -> int:
    """Checks that each package of a lock is in the package lists of the signed Release files, in its newest version.

    Args:
        manifest: the manifest of the lock.
        lock: the lock; its evidence is in the folder beside it.
        keyrings: directory that the keyrings of the manifest are relative to.
        lists: the package lists; their names don't matter.
        command: command that updates the lock, for messages.

    Returns:
        The number of packages that were checked.

    Raises:
        CheckError: a signature, a list or a package differs, or a package has a newer version.
        UserError: a file can't be read, or gpgv isn't installed.
    """
    content = check_lock(manifest, lock, command)
    releases = _releases(manifest, content, evidence_folder(lock), keyrings, command)
    packages = list(content["packages"].values())
    listed = _listed_packages(manifest, releases, lists, {package["name"] for package in packages})
    pinned = {package for wanted in manifest.sets.values() for package in wanted.packages if "=" in package}
    for package in packages:
        error = _package_error(package, listed, f"{package['name']}={package['version']}" in pinned)
        if error:
            raise CheckError(f"{lock}: {package['name']} {package['version']} {error}; update it: {command}")
    return len(packages)


def _releases(
    manifest: Manifest, content: Mapping[str, Any], folder: Path, keyrings: Path, command: str
) -> dict[str, dict[str, Release]]:
    """Returns the verified Release files by archive and suite."""
    releases: dict[str, dict[str, Release]] = {}
    for name, archive in manifest.archives.items():
        releases[name] = {}
        for suite in archive.suites:
            release = read_release(folder, name, suite, keyrings / archive.keyring)
            released, date = content["archives"][name]["released"][suite], format_time(release.date)
            if not release.is_of(suite):
                raise CheckError(f"{release.origin}: is of another suite than {suite}; update it: {command}")
            if date != released:
                raise CheckError(
                    f"{release.origin}: is of {date}, but the lock was made from {suite} of {released}; a lock and its "
                    f"Release files belong together; update them: {command}"
                )
            releases[name][suite] = release
    return releases


def _listed_packages(
    manifest: Manifest, releases: Mapping[str, Mapping[str, Release]], lists: Iterable[Path], names: set[str]
) -> dict[_Key, list[tuple[ListedPackage, bool]]]:
    """Returns the packages of the lists, each with whether apt installs it by default."""
    by_hash = sha256_by_file(lists)
    found: dict[_Key, list[tuple[ListedPackage, bool]]] = {}
    for archive, suite, file in package_lists(manifest, releases):
        release = releases[archive][suite]
        if file.sha256 not in by_hash:
            raise CheckError(
                f"{release.origin}: names {file.path} with SHA-256 {file.sha256}, which none of the package lists has"
            )
        for package in read_package_list(by_hash[file.sha256], names):
            key = (archive, package.name, package.architecture)
            found.setdefault(key, []).append((package, release.automatic))
    return found


def _package_error(
    package: Mapping[str, Any], listed: Mapping[_Key, list[tuple[ListedPackage, bool]]], pinned: bool
) -> str:
    """Returns what is wrong with a locked package, or an empty string.

    Args:
        package: the package.
        listed: the packages of the lists.
        pinned: whether the manifest has its version.
    """
    name, architecture = package["name"], package["architecture"]
    candidates = listed.get((package["archive"], name, architecture), [])
    same = [each for each, _ in candidates if each.version == package["version"]]
    if not same:
        return f"is not in the archive {package['archive']}"
    for key in ("path", "sha256", "size"):
        if package[key] not in {getattr(each, key) for each in same}:
            return f"has the {key} {package[key]}, in the archive it is {getattr(same[0], key)}"
    others = [
        each.version
        for (_, other, of), several in listed.items()
        for each, automatic in several
        if other == name and of in (architecture, "all") and automatic
    ]
    try:
        newer = [version for version in others if compare_versions(version, package["version"]) > 0]
    except ValueError as error:
        return f"has an invalid version in the archives: {error}"
    return f"is older than {newer[0]} of the archives" if newer and not pinned else ""
