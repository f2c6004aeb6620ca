"""The package files of a lock (third_party/debian/README.md), downloaded as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from guestos_tools.download import Policy, fetch, locked
from tools.debian.lock import check_lock
from tools.debian.manifest import read_manifest

_ARCHITECTURE = "amd64"
_DOWNLOADS = 8


class Packages:
    """The packages of a lock."""

    def __init__(self, lock: Path, folder: Path, policy: Policy) -> None:
        """Reads the lock.

        Args:
            lock: the file; its manifest is beside it.
            folder: where package files are, or are downloaded to.
            policy: how much trouble downloads take.

        Raises:
            UserError: the lock is out of step with its manifest.
        """
        stem = lock.name.removesuffix(".lock.json")
        command = f"bazel run //{lock.parent.parent.name}/{lock.parent.name}:{stem}.lock"
        self._content = check_lock(read_manifest(lock.with_name(f"{stem}.toml")), lock, command)
        self._folder = folder
        self._policy = policy

    def sets(self) -> list[str]:
        """Returns the names of the sets."""
        return list(self._content["sets"])

    def provided(self, name: str) -> list[str]:
        """Returns the virtual packages that a set needs no package for."""
        return list(self._content["sets"][name]["provided"])

    def files(self, name: str) -> list[str]:
        """Returns the paths of the package files of a set; the SHA-256 of each is the name of its folder."""
        return [str(self._path(package)) for package in self._packages(name)]

    def _packages(self, name: str) -> list[dict[str, Any]]:
        return [self._content["packages"][key] for key in self._content["sets"][name]["packages"][_ARCHITECTURE]]

    def _path(self, package: dict[str, Any]) -> Path:
        return Path(self._folder, package["sha256"], os.path.basename(package["path"]))

    def download(self, names: Iterable[str], say: Callable[[str], None]) -> None:
        """Downloads what is missing of some sets.

        Args:
            names: of the sets.
            say: takes messages for the user.

        Raises:
            UserError: a package can't be had.
        """
        packages = {package["sha256"]: package for name in names for package in self._packages(name)}
        missing = [package for package in packages.values() if not self._path(package).exists()]
        if not missing:
            return
        say(f"downloading {len(missing)} packages")
        self._folder.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another build that uses {self._folder}"
        with locked(self._folder, lambda: say(waiting)), ThreadPoolExecutor(_DOWNLOADS) as executor:
            # Exceptions are raised here; what is under way is finished, what waits is not begun.
            futures = [executor.submit(self._fetch, package) for package in missing]
            try:
                for future in futures:
                    future.result()
            finally:
                executor.shutdown(cancel_futures=True)

    def _fetch(self, package: dict[str, Any]) -> None:
        path = self._path(package)
        path.parent.mkdir(exist_ok=True)
        urls = [f"{url}/{package['path']}" for url in self._content["archives"][package["archive"]]["urls"]]
        fetch(urls, path, package["sha256"], self._policy)
