"""Upgrades the system: downloads an update image, and has manageboot.sh install and commit it."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from standins.problems import StandInError
from standins.registry import Release

IMAGE = "image.bin"
EXIT_STATUS = 42
"""Of the orchestrator after the commit of an upgrade."""

_SECONDS = 60
_BLOCK = 1 << 20


def sha256(path: Path) -> str | None:
    """Returns the SHA-256 of a file, in hexadecimal digits; None if there is no file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def download(release: Release, folder: Path) -> Path:
    """Downloads an update image, unless the folder has it.

    Raises:
        StandInError: it cannot be downloaded, or its checksum is wrong.
    """
    path = folder / IMAGE
    try:
        if sha256(path) == release.sha256:
            return path
        with urllib.request.urlopen(release.url, timeout=_SECONDS) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file, _BLOCK)
    except (OSError, ValueError) as error:
        raise StandInError(f"{release.url}: cannot be downloaded to {path}: {error}") from error
    found = sha256(path)
    if found != release.sha256:
        raise StandInError(f"{release.url}: has the SHA-256 {found}, not {release.sha256}")
    return path


def upgrade(release: Release, images: Path, manageboot: Path, data: Path) -> None:
    """Installs and commits an upgrade; the machine reboots then.

    Args:
        release: the version to install.
        images: folder for the download.
        manageboot: the program that installs.
        data: folder for the time of the reboot.

    Raises:
        StandInError: the upgrade failed; the system is as before.
    """
    image = download(release, images)
    call(manageboot, "upgrade-install", str(image))
    try:
        (data / "reboot_time.txt").write_text(str(int(time.time())), encoding="ascii")
        image.unlink()
    except OSError as error:
        raise StandInError(f"{error.filename}: {error.strerror}") from error
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        call(manageboot, "upgrade-commit")
    except StandInError:
        signal.signal(signal.SIGTERM, before)
        raise


def call(program: Path, *arguments: str) -> str:
    """Runs a program; returns what it writes, which is not shown unless it fails.

    Raises:
        StandInError: it cannot be run, or its exit status is not 0.
    """
    try:
        result = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise StandInError(f"{program}: {error.strerror}") from error
    if result.returncode:
        said = (result.stdout + result.stderr).decode(errors="replace").strip()
        raise StandInError(f"{' '.join([program.name, *arguments])}: exit status {result.returncode}: {said}")
    return result.stdout.decode(errors="replace")
