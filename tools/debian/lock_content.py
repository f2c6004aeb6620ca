"""Checks the content of a lock file: types, names, hashes, and agreement with the manifest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools.debian.archive_urls import archive_urls, parse_time
from tools.debian.manifest import Manifest, PackageSet

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_HASH = "0" * 64
_PATH = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[^/\s][^\s]*\.deb")
_FIELDS = ("name", "version", "architecture", "archive", "path", "sha256")


def content_error(manifest: Manifest, content: Mapping[str, Any]) -> str:
    """Returns what is wrong with a decoded lock, beginning with the key; empty if nothing is.

    Args:
        manifest: the manifest that the lock was created from.
        content: the lock, of the format of tools/debian/lock.py.
    """
    try:
        errors = itertools.chain(
            _archive_errors(manifest, content["archives"]),
            _package_errors(manifest, content["packages"]),
            _set_errors(manifest, content["sets"], content["packages"]),
        )
        return next(errors, "")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"a value is missing or has the wrong type ({error})"


def _archive_errors(manifest: Manifest, archives: Mapping[str, Any]) -> Iterator[str]:
    if archives.keys() != manifest.archives.keys():
        yield f"archives: must be {', '.join(manifest.archives)}, not {', '.join(archives)}"
    for name, archive in manifest.archives.items():
        released = archives[name]["released"]
        if released.keys() != set(archive.suites):
            yield f"archives.{name}.released: must have the suites {', '.join(archive.suites)}"
        urls = archive_urls(archive, [parse_time(time) for time in released.values()])
        if archives[name]["urls"] != urls:
            yield f"archives.{name}.urls: must be those of the manifest, {', '.join(urls)}"


def _package_errors(manifest: Manifest, packages: Mapping[str, Any]) -> Iterator[str]:
    for key, package in packages.items():
        where = f"packages.{key}"
        if not all(isinstance(package[field], str) and package[field] for field in _FIELDS):
            yield f"{where}: must have non-empty strings for {', '.join(_FIELDS)}"
        if key != f"{package['name']}_{package['architecture']}":
            yield f"{where}: is the package {package['name']} for {package['architecture']}"
        if package["archive"] not in manifest.archives:
            yield f"{where}.archive: {package['archive']!r} is not an archive of the manifest"
        if not _SHA256.fullmatch(package["sha256"]) or package["sha256"] == _NO_HASH:
            yield f"{where}.sha256: {package['sha256']!r} is not a SHA-256 in hexadecimal"
        if type(package["size"]) is not int or package["size"] <= 0:
            yield f"{where}.size: {package['size']!r} is not a number of bytes"
        if not _PATH.fullmatch(package["path"]):
            yield f"{where}.path: {package['path']!r} is not the relative path of a .deb"


def _set_errors(manifest: Manifest, sets: Mapping[str, Any], packages: Mapping[str, Any]) -> Iterator[str]:
    if sets.keys() != manifest.sets.keys():
        yield f"sets: must be {', '.join(manifest.sets)}, not {', '.join(sets)}"
    used = set()
    for name, wanted in manifest.sets.items():
        where = f"sets.{name}"
        if sets[name]["provided"] != wanted.provided:
            yield f"{where}.provided: must be those of the manifest"
        if sets[name]["packages"].keys() != set(manifest.architectures):
            yield f"{where}.packages: must have the architectures {', '.join(manifest.architectures)}"
        for architecture, keys in sets[name]["packages"].items():
            used.update(keys)
            if unknown := [key for key in keys if key not in packages]:
                yield f"{where}.packages.{architecture}: {unknown[0]} is not in packages"
            versions = {packages[key]["name"]: packages[key]["version"] for key in keys}
            for error in _version_errors(wanted, versions):
                yield f"{where}.packages.{architecture}: {error}"
    if unused := sorted(packages.keys() - used):
        yield f"packages.{unused[0]}: is in no set"


def _version_errors(wanted: PackageSet, versions: Mapping[str, str]) -> Iterator[str]:
    """Yields what is wrong with the packages of a set; with dependencies, a name may be that of a virtual package."""
    for package in wanted.packages:
        name, _, version = package.partition("=")
        if version and versions.get(name) != version:
            yield f"must have {name} {version}, not {versions.get(name, 'no version of it')}"
        if not wanted.dependencies and name not in versions:
            yield f"{name} is missing"
