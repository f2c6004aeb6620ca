"""Checks that the wheels of several interpreters can be extracted into one directory.

Extension modules have the ABI in their names, so those of several interpreters don't conflict. All other files have the
same name in each wheel, and so must have the same content.
"""

from __future__ import annotations

import hashlib
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from third_party.python.lock_file import Distribution, Wheel
from tools.core.errors import UserError

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60


def check_distribution(name: str, distribution: Distribution) -> None:
    """Downloads the wheels that share a directory, and compares their members.

    Raises:
        UserError: two wheels have different files with the same name, or a download has a wrong SHA-256.
    """
    shared = {cpu: wheels for cpu, wheels in _by_cpu(distribution).items() if len(wheels) > 1}
    if not shared:
        return
    members = {wheel: _fetch_members(wheel) for wheel in set().union(*shared.values())}
    for wheels in shared.values():
        if clash := find_clash({wheel.filename: members[wheel] for wheel in wheels}):
            raise UserError(
                f"{name} {distribution.version}: {clash}, so its wheels cannot share a directory; "
                "choose another version in the manifest"
            )


def find_clash(members: Mapping[str, Mapping[str, int]]) -> str:
    """Describes the first conflict between wheels; returns an empty string if there is none.

    Args:
        members: for each wheel, the CRC-32 of its members by path, from the zip directory.
    """
    seen: dict[str, tuple[int, str]] = {}
    for wheel, paths in sorted(members.items()):
        for path, checksum in sorted(paths.items()):
            if _describes_wheel(path):
                continue
            first_checksum, first_wheel = seen.setdefault(path, (checksum, wheel))
            if checksum != first_checksum:
                return f"{path} differs between {first_wheel} and {wheel}"
    return ""


def _describes_wheel(path: str) -> bool:
    """Returns whether a member is metadata of its wheel; not for entry points, which other distributions read."""
    folder, _, rest = path.partition("/")
    return folder.endswith(".dist-info") and rest != "entry_points.txt"


def _by_cpu(distribution: Distribution) -> dict[str, list[Wheel]]:
    result: dict[str, list[Wheel]] = {}
    for wheel in distribution.wheels:
        for cpu in wheel.cpus:
            result.setdefault(cpu, []).append(wheel)
    return result


def _fetch_members(wheel: Wheel) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, wheel.filename)
        with path.open("wb") as file:
            _download(wheel, file)
        with zipfile.ZipFile(path) as archive:
            return {info.filename: info.CRC for info in archive.infolist() if not info.is_dir()}


def _download(wheel: Wheel, file: IO[bytes]) -> None:
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(wheel.url, timeout=_TIMEOUT_SECONDS) as response:
            for chunk in _chunks(response):
                digest.update(chunk)
                file.write(chunk)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise UserError(f"{wheel.url}: cannot be downloaded: {error}") from error
    if digest.hexdigest() != wheel.sha256:
        raise UserError(f"{wheel.url}: SHA-256 is {digest.hexdigest()}, but that of the index is {wheel.sha256}")


def _chunks(response: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: response.read(_CHUNK), b"")
