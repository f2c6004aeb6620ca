"""Locks the packages of the image that this runs in, by the archive's signed package list.

A package whose version is not in the list, since the mirror has moved on, is an error: make the image anew first.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from dev.container.image_packages import LockedImage, installed_packages
from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all
from tools.debian.archive_urls import format_time
from tools.debian.package_list import read_package_list
from tools.debian.release import Release, parse_release
from tools.debian.signature import signed_text

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    lock: OutputName = argument("the lock to write")
    keyring: FileName = argument("the archive's keys")
    suite: str = argument("suite of the image", default="sid")
    mirror: str = argument(
        "mirror of the archive", default=os.environ.get("ICOS_DEBIAN_MIRROR", "https://deb.debian.org/debian")
    )
    status: FileName = argument("dpkg's list of packages", default="/var/lib/dpkg/status")


def hashes(release: Release, base: str, architecture: str, wanted: dict[str, str], folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of package files by `NAME:ARCHITECTURE`, from the list that a Release file names.

    Raises:
        CheckError: the list differs from the Release file, or lacks a package in its version.
        UserError: the list cannot be downloaded or read.
    """
    listed = release.package_list("main", architecture)
    path = _download(f"{base}/{listed.path}", folder / "list")
    if hashlib.sha256(path.read_bytes()).hexdigest() != listed.sha256:
        raise CheckError(f"{base}/{listed.path}: is not what {base}/InRelease names; try again, or use another mirror")
    found = {}
    for package in read_package_list(path, {name.partition(":")[0] for name in wanted}):
        name = f"{package.name}:{package.architecture}"
        if wanted.get(name) == package.version:
            found[name] = package.sha256
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        raise CheckError(
            f"{missing[0]} {wanted[missing[0]]} and {len(missing) - 1} more: are not in {base}; make the image anew: "
            "remove it by container-run.sh --prune after a change of image.sh, or use the mirror that it was made from"
        )
    return found


def _download(url: str, path: Path) -> Path:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            path.write_bytes(answer.read())
    except (urllib.error.URLError, OSError) as error:
        raise UserError(f"{url}: cannot be downloaded: {getattr(error, 'reason', error)}") from error
    return path


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    installed = installed_packages(Path(arguments.status))
    base = f"{arguments.mirror}/dists/{arguments.suite}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = signed_text(_download(f"{base}/InRelease", folder / "InRelease"), Path(arguments.keyring))
        release = parse_release(text, f"{base}/InRelease")
        found = hashes(release, base, _ARCHITECTURES[platform.machine()], installed, folder)
    packages = {name: (version, found[name]) for name, version in installed.items()}
    with replacing(arguments.lock) as fd:
        write_all(fd, LockedImage(arguments.suite, format_time(release.date), packages).to_json().encode())
    print(f"{arguments.lock}: {len(packages)} packages of {arguments.suite} of {format_time(release.date)}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
