"""The locked wheels of Python distributions, for the interpreter that runs this."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from guestos_tools.description import WORKSPACE
from guestos_tools.download import Policy, fetch, locked
from tools.core.errors import UserError
from tools.core.json_file import read_json

CACHE_VARIABLE = "ICOS_BUILD_CACHE"
LOCK = WORKSPACE / "third_party" / "python" / "requirements.lock.json"


def cache_folder() -> Path:
    """Returns the folder for what is kept from build to build."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rules_icos", "scripts")


def locked_folders(name: str, policy: Policy) -> list[str]:
    """Returns the folders to import a locked distribution from; it is downloaded where it isn't in the cache."""
    return Wheels(LOCK, cache_folder() / "wheels", policy).folders([name])


class Wheels:
    """The wheels of a lock, unpacked as they are needed."""

    def __init__(self, lock: Path, folder: Path, policy: Policy) -> None:
        """Reads the lock.

        Args:
            lock: the file.
            folder: where wheels are unpacked to.
            policy: how much trouble downloads take.
        """
        self._lock = lock
        self._distributions: Mapping[str, Any] = read_json(lock)["distributions"]
        self._folder = folder
        self._policy = policy

    def choose(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the wheels of distributions, and of those that they require: SHA-256 by URL, in a fixed order.

        Args:
            names: as the lock has them.

        Raises:
            UserError: this interpreter has no wheel of one of them.
        """
        chosen: dict[str, dict[str, str]] = {}
        left = list(names)
        while left:
            name = left.pop()
            if name in chosen:
                continue
            distribution = self._distributions[name]
            chosen[name] = {wheel["url"]: wheel["sha256"] for wheel in distribution["wheels"] if _fits(wheel)}
            if len(chosen[name]) != 1:
                raise UserError(
                    f"{self._lock}: has no wheel of {name} for CPython {sys.version_info[0]}.{sys.version_info[1]} on "
                    f"{platform.machine()}; run this in gitlab-ci/container/container-run.sh"
                )
            left += distribution["requires"]
        return {url: sha256 for name in sorted(chosen) for url, sha256 in chosen[name].items()}

    def folders(self, names: Iterable[str]) -> list[str]:
        """Returns the folders to import distributions from, downloading what isn't there."""
        return [str(self._unpacked(url, sha256)) for url, sha256 in self.choose(names).items()]

    def _unpacked(self, url: str, sha256: str) -> Path:
        target = self._folder / sha256
        if target.exists():
            return target
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder):
            if not target.exists():
                self._unpack(url, sha256, target)
        return target

    def _unpack(self, url: str, sha256: str, target: Path) -> None:
        wheel = self._folder / f"{sha256}.whl"
        fetch([url], wheel, sha256, self._policy)
        unpacked = tempfile.mkdtemp(dir=self._folder)
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
            os.rename(unpacked, target)
        except BaseException:
            shutil.rmtree(unpacked)
            raise
        wheel.unlink()


def _fits(wheel: Mapping[str, Any]) -> bool:
    """Returns whether this interpreter takes a wheel (https://packaging.python.org/specifications/platform-compatibility-tags)."""
    if platform.machine() not in wheel["cpus"] or sys.implementation.name != "cpython":
        return False
    major, minor = sys.version_info[:2]
    for tag in wheel["tags"]:
        python, abi, _ = tag.split("-")
        oldest = re.fullmatch(rf"cp{major}([0-9]+)", python)
        if abi == "none" and python == f"py{major}":
            return True
        if oldest and abi == "abi3" and int(oldest[1]) <= minor:
            return True
        if oldest and abi == python and int(oldest[1]) == minor:
            return True
    return False
