"""Extracts files from packages without installing them."""

from __future__ import annotations

import fnmatch
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all
from tools.debian.deb import Deb
from tools.debian.paths import matcher, member_path

_CHUNK = 1 << 20


def choose(debs: Sequence[Path], patterns: Sequence[str]) -> list[Deb]:
    """Opens the packages whose names match a pattern, sorted by name.

    Args:
        debs: package files.
        patterns: patterns of package names, as in fnmatch(3); empty for all packages.

    Raises:
        UserError: a package can't be read, or a pattern matches no package.
    """
    packages = sorted(((deb.control()["Package"], deb) for deb in map(Deb, debs)), key=lambda pair: pair[0])
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name, _ in packages):
            names = ", ".join(name for name, _ in packages)
            raise UserError(f"no package matches {pattern!r}; there are {names}")
    return [d for name, d in packages if not patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns)]


def _require_matches(patterns: Sequence[str], paths: Iterable[str], debs: Sequence[Deb]) -> None:
    found = set(paths)
    for pattern in patterns:
        if not any(map(matcher([pattern]), found)):
            raise UserError(f"{', '.join(os.path.basename(d.path) for d in debs)}: no path matches {pattern!r}")


def write_data(debs: Sequence[Deb], patterns: Sequence[str], output: Path) -> None:
    """Writes files of packages as a tar in pax format, with their metadata, in the order of the packages.

    Args:
        debs: the packages.
        patterns: patterns of paths, without leading slash; parent directories are included. Empty for all files.
        output: path of the tar.

    Raises:
        UserError: a package is damaged, a pattern matches nothing, two packages have the same file, or the target of a
            hard link isn't selected.
    """
    with replacing(output) as descriptor, open(descriptor, "wb", closefd=False) as file:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
            written = _Merger(archive, matcher(patterns or ["*"])).add_all(debs)
        _require_matches(patterns, written, debs)


class _Merger:
    """Merges packages into one tar."""

    def __init__(self, archive: tarfile.TarFile, wanted: Callable[[str], bool]) -> None:
        self._archive = archive
        self._wanted = wanted
        self._directories: dict[str, tarfile.TarInfo] = {}
        self._written: dict[str, str] = {}

    def add_all(self, debs: Iterable[Deb]) -> Iterable[str]:
        """Adds the selected files of packages; returns their paths."""
        for deb in debs:
            with deb.data() as data:
                for entry in data:
                    self._add(deb, data, entry)
        return self._written.keys()

    def _add(self, deb: Deb, data: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = member_path(entry.name)
        if entry.isdir():
            self._directories.setdefault(path, entry)
            if self._wanted(path):
                self._add_directories(path)
            return
        if not self._wanted(path):
            return
        if path in self._written:
            raise UserError(f"{deb.path}: has /{path}, which {self._written[path]} has, too")
        if entry.islnk() and member_path(entry.linkname) not in self._written:
            raise UserError(f"{deb.path}: /{path} is a hard link to {entry.linkname}, which isn't selected")
        self._add_directories(os.path.dirname(path))
        self._archive.addfile(entry, data.extractfile(entry) if entry.isreg() else None)
        self._written[path] = deb.path

    def _add_directories(self, path: str) -> None:
        """Adds a directory and its parents, if a package has them and they are not added yet."""
        missing = []
        while path not in self._written:
            missing.append(path)
            if not path:
                break
            path = os.path.dirname(path)
        for directory in reversed(missing):
            if directory in self._directories:
                self._archive.addfile(self._directories[directory])
                self._written[directory] = "another package"


def write_file(debs: Sequence[Deb], pattern: str, output: Path) -> None:
    """Writes the content of the only regular file of some packages that matches a pattern.

    Raises:
        UserError: a package is damaged, or no file or more than one matches.
    """
    matches: list[str] = []
    wanted = matcher([pattern])
    with replacing(output) as descriptor:
        for deb in debs:
            with deb.data() as data:
                for entry in data:
                    content = data.extractfile(entry) if entry.isreg() and wanted(member_path(entry.name)) else None
                    if content is None:
                        continue
                    matches.append(member_path(entry.name))
                    if len(matches) == 1:
                        _copy(content, descriptor)
        _require_matches([pattern], matches, debs)
        if len(matches) > 1:
            raise UserError(f"{pattern!r} must match exactly one file, but matches {', '.join(matches)}")


def _copy(content: IO[bytes], descriptor: int) -> None:
    while chunk := content.read(_CHUNK):
        write_all(descriptor, chunk)
