"""A copy of what get-artifacts.sh consists of, since it downloads into the checkout that it is in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).absolute().parents[4]
_GUESTOS = Path("ic-os", "guestos")


class ArtifactsCheckout:
    """A copy in a folder of a test.

    Attributes:
        artifacts: the folder of what is downloaded.
    """

    def __init__(self, folder: Path) -> None:
        """Copies the files.

        Args:
            folder: for them; does not exist.
        """
        for name in ("tools", _GUESTOS / "scripts", _GUESTOS / "tools", _GUESTOS / "rootfs/opt/ic"):
            shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("release_binaries.bzl", "defaults.bzl"):
            shutil.copy(_ROOT / _GUESTOS / file, folder / _GUESTOS / file)
        self.artifacts = folder / "artifacts"
        self._folder = folder

    def get(self, url: str, revision: str, seconds: int, **environment: str) -> dict[str, Path]:
        """Runs get-artifacts.sh, which must succeed; returns what is in the folder of artifacts then, by path in it.

        Args:
            url: of the revisions, with or without TLS.
            revision: commit id.
            seconds: that it may take.
            environment: further variables.
        """
        values = {"ICOS_ARTIFACTS_URL": url, "ICOS_ARTIFACTS_INSECURE": "1", "GIT_REV": revision}
        values |= {"PATH": os.environ["PATH"], "HOME": str(self._folder), "no_proxy": "127.0.0.1"}
        script = self._folder / _GUESTOS / "scripts" / "get-artifacts.sh"
        done = subprocess.run(
            [script], capture_output=True, text=True, env=values | environment, timeout=seconds, check=False
        )
        assert done.returncode == 0, done.stderr
        return files_of(self.artifacts)


def files_of(folder: Path) -> dict[str, Path]:
    """Returns the downloaded files in a folder, by their paths in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".fetched.json")
    return {str(path.relative_to(folder)): path for path in files}
