"""The signed Release files that a lock was made from, kept in a folder beside it.

For the lock `NAME.lock.json`, the folder `NAME.lock.d` has

    ARCHIVE_SUITE.InRelease       the Release file of a suite with its signature inside, or
    ARCHIVE_SUITE.Release, .gpg   the same for archives that sign apart
    lists.json                    the package lists that these files name, to be downloaded

Only the Release files are evidence; `lists.json` says what to download, and is checked against them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all
from tools.debian.manifest import Manifest
from tools.debian.release import ListedFile, Release, parse_release
from tools.debian.signature import signed_text

LISTS = "lists.json"


def evidence_folder(lock: Path) -> Path:
    """Returns the folder of a lock's evidence."""
    return lock.with_name(lock.name.removesuffix(".json") + ".d")


def release_name(archive: str, suite: str) -> str:
    """Returns the name of a suite's file, without suffix."""
    return f"{archive}_{suite.replace('/', '_')}"


def read_release(folder: Path, archive: str, suite: str, keyring: Path) -> Release:
    """Returns a Release file of the evidence after verifying its signature.

    Raises:
        CheckError: no key of the keyring signed it.
        UserError: it is missing or can't be read, or gpgv isn't installed.
    """
    name = release_name(archive, suite)
    inline, plain = folder / f"{name}.InRelease", folder / f"{name}.Release"
    if plain.exists() and not inline.exists():
        return parse_release(signed_text(plain, keyring, folder / f"{name}.Release.gpg"), str(plain))
    return parse_release(signed_text(inline, keyring), str(inline))


def package_lists(
    manifest: Manifest, releases: Mapping[str, Mapping[str, Release]]
) -> Iterator[tuple[str, str, ListedFile]]:
    """Yields archive, suite and file of each package list that a manifest is resolved from.

    Args:
        manifest: the manifest.
        releases: the Release files by archive and suite.

    Raises:
        UserError: a Release file doesn't list one.
    """
    for archive, described in manifest.archives.items():
        for suite in described.suites:
            for component, architecture in product(described.components, manifest.architectures):
                yield archive, suite, releases[archive][suite].package_list(component, architecture)


def write_evidence(manifest: Manifest, releases: Mapping[str, bytes], lock: Path, keyrings: Path) -> None:
    """Writes the folder of a lock's evidence, and removes from it what an earlier lock needed.

    Args:
        manifest: the manifest.
        releases: contents of the Release files and signatures by their names.
        lock: the lock file.
        keyrings: directory that the keyrings of the manifest are relative to.

    Raises:
        UserError: a file can't be written, or the Release files don't list the package lists.
    """
    folder = evidence_folder(lock)
    folder.mkdir(exist_ok=True)
    for name, data in releases.items():
        _write(folder / name, data)
    suites = {
        name: {suite: read_release(folder, name, suite, keyrings / archive.keyring) for suite in archive.suites}
        for name, archive in manifest.archives.items()
    }
    lists: list[dict[str, Any]] = [
        {"archive": archive, "suite": suite, **asdict(file)} for archive, suite, file in package_lists(manifest, suites)
    ]
    _write(folder / LISTS, (json.dumps(lists, indent=2) + "\n").encode())
    for old in folder.iterdir():
        if old.name not in releases and old.name != LISTS:
            old.unlink()


def _write(path: Path, data: bytes) -> None:
    try:
        with replacing(path) as fd:
            write_all(fd, data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
