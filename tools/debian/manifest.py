"""The manifest: the packages and archives from which a lock is created.

A TOML file, edited by hand:

    architectures = ["amd64"]

    [archives.debian]
    mirrors = ["https://deb.debian.org/debian"]
    snapshots = "https://snapshot.debian.org/archive/debian/{time}"
    suites = ["trixie", "trixie-updates"]
    components = ["main"]
    keyring = "debian-archive-keyring.asc"

    [sets.base]
    essential = true
    packages = ["systemd", "openssh-server"]

An archive has one or more mirrors; the first one is used for locking, all are tried in order for downloads.
`snapshots` is the URL of snapshots with files that the mirrors no longer have; `{time}` is replaced by the time of the
lock. Each set is resolved separately, with all dependencies, so that it can be installed into an empty root. A set with
`extends = "OTHER"` has the properties of the other set, and additional packages.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tools.core.errors import UserError

_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9./+-]*")
_URL = re.compile(r"(https?|file)://[^\s{}]*[^\s{}/]")
_TIME = "{time}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A package archive.

    Attributes:
        mirrors: URLs of the directory with `dists` and `pool`, in order of preference.
        suites: directories in `dists`; apt selects the highest version in all of them.
        components: components of each suite.
        keyring: file with the ASCII-armoured public keys that may sign the archive, relative to the manifest.
        snapshots: URL of the archive at the time `{time}` (such as 20250131T235959Z), or an empty string.
    """

    mirrors: list[str]
    suites: list[str]
    components: list[str]
    keyring: str
    snapshots: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSet:
    """Packages that are resolved and used together.

    Attributes:
        packages: package names, or `name=version`.
        essential: whether to add the distribution's essential packages, which a base root needs.
        dependencies: whether to add the dependencies of the packages.
        provided: virtual packages that the image provides by other means, so that no package is selected for them.
    """

    packages: list[str]
    essential: bool = False
    dependencies: bool = True
    provided: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest, with archives and sets by name."""

    architectures: list[str]
    archives: dict[str, Archive]
    sets: dict[str, PackageSet]

    def digest(self) -> str:
        """Returns the SHA-256 of the manifest's values, in hexadecimal; independent of comments and formatting."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest.

    Raises:
        UserError: the file can't be read, isn't TOML, or has an invalid key or value.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # besides TOMLDecodeError: no UTF-8, a number of 5000 digits
        raise UserError(f"{path}: isn't valid TOML: {error}") from error
    return _Reader(path).manifest(content)


class _Reader:
    """Converts parsed TOML to a manifest; messages start with the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _refuse(self, where: str, what: str) -> UserError:
        return UserError(f"{self._path}: {where}: {what}")

    def manifest(self, content: dict[str, Any]) -> Manifest:
        self._check_keys("the file", content, {"architectures", "archives", "sets"})
        return Manifest(
            architectures=self._texts("architectures", content, _ARCHITECTURE),
            archives={name: self._archive(where, table) for name, where, table in self._tables("archives", content)},
            sets=self._sets(content),
        )

    def _sets(self, content: dict[str, Any]) -> dict[str, PackageSet]:
        sets: dict[str, PackageSet] = {}
        tables = self._tables("sets", content)
        for name, where, table in tables:
            if "extends" not in table:
                sets[name] = self._set(where, table)
        for name, where, table in tables:
            if "extends" in table:
                self._check_keys(where, table, {"extends", "packages"})
                base = sets.get(table["extends"]) if isinstance(table["extends"], str) else None
                if base is None or "extends" in content["sets"][table["extends"]]:
                    raise self._refuse(f"{where}.extends", "must be the name of a set that doesn't extend another one")
                added = self._texts(f"{where}.packages", table, _PACKAGE)
                sets[name] = replace(base, packages=base.packages + [p for p in added if p not in base.packages])
        return sets

    def _archive(self, where: str, table: dict[str, Any]) -> Archive:
        self._check_keys(where, table, {"mirrors", "suites", "components", "keyring", "snapshots"})
        snapshots = table.get("snapshots", "")
        if not isinstance(snapshots, str) or (snapshots and not self._is_template(snapshots)):
            raise self._refuse(f"{where}.snapshots", f"must be a URL that has {_TIME} once, without a trailing slash")
        keyring = table.get("keyring")
        if not isinstance(keyring, str) or not keyring.endswith(".asc"):
            raise self._refuse(f"{where}.keyring", "must be the name of a file with ASCII-armoured keys (.asc)")
        return Archive(
            mirrors=self._texts(f"{where}.mirrors", table, _URL),
            suites=self._texts(f"{where}.suites", table, _SUITE),
            components=self._texts(f"{where}.components", table, _SUITE),
            keyring=keyring,
            snapshots=snapshots,
        )

    @staticmethod
    def _is_template(url: str) -> bool:
        return url.count(_TIME) == 1 and _URL.fullmatch(url.replace(_TIME, "0")) is not None

    def _set(self, where: str, table: dict[str, Any]) -> PackageSet:
        self._check_keys(where, table, {"packages", "essential", "dependencies", "provided"})
        for key in ("essential", "dependencies"):
            if not isinstance(table.get(key, True), bool):
                raise self._refuse(f"{where}.{key}", "must be true or false")
        provided = self._texts(f"{where}.provided", table, _PACKAGE) if "provided" in table else []
        return PackageSet(
            packages=self._texts(f"{where}.packages", table, _PACKAGE),
            essential=table.get("essential", False),
            dependencies=table.get("dependencies", True),
            provided=provided,
        )

    def _check_keys(self, where: str, table: dict[str, Any], known: set[str]) -> None:
        if unknown := sorted(set(table) - known):
            raise self._refuse(where, f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")

    def _tables(self, key: str, content: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
        tables = content.get(key)
        if not isinstance(tables, dict) or not tables:
            raise self._refuse(key, "must have at least one table")
        for name, table in tables.items():
            if not _NAME.fullmatch(name) or not isinstance(table, dict):
                raise self._refuse(f"{key}.{name}", "must be a table; its name has lower-case letters, digits, - and _")
        return [(name, f"{key}.{name}", table) for name, table in sorted(tables.items())]

    def _texts(self, where: str, table: dict[str, Any], pattern: re.Pattern[str]) -> list[str]:
        values = table.get(where.rpartition(".")[2])
        if not isinstance(values, list) or not values:
            raise self._refuse(where, "must be a list with at least one string")
        for value in values:
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise self._refuse(where, f"{value!r} isn't valid here")
        if len(set(values)) != len(values):
            raise self._refuse(where, "has a repeated value")
        return values
