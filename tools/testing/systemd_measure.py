"""systemd-measure of Debian's locked packages, an oracle: it runs with their loader and libraries on any machine."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.testing.oracles import ask, unavailable

_ARCHIVE = Path("tools/testing/measure.tar")
_PREFIX = "11:sha256="
_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")


class SystemdMeasure:
    """The program; without its packages, which Bazel provides, the test is skipped.

    Args:
        folder: an empty directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not _ARCHIVE.exists():
            unavailable(f"{_ARCHIVE} is missing: run the test by Bazel, which has systemd-measure of a locked package")
        with tarfile.open(_ARCHIVE) as members:
            members.extractall(folder, filter="data")

    def calculate(self, sections: Mapping[str, bytes], phases: Sequence[str]) -> list[str]:
        """Returns the values of register 11, in hexadecimal digits, for phases in the order of their names."""
        lines = self._run("calculate", sections, phases).splitlines()
        return [line.removeprefix(_PREFIX) for line in lines if line.startswith(_PREFIX)]

    def sign(self, sections: Mapping[str, bytes], phases: Sequence[str], key: Path) -> str:
        """Returns the content of the section `.pcrsig`."""
        return self._run("sign", sections, phases, f"--private-key={key}")

    def _run(self, verb: str, sections: Mapping[str, bytes], phases: Sequence[str], *flags: str) -> str:
        library = self._folder / _LIBRARIES
        words: list[str | os.PathLike[str]] = ["--library-path", f"{library}:{library / 'systemd'}"]
        words += [self._folder / "usr/lib/systemd/systemd-measure", verb, "--bank=sha256", "--no-pager"]
        for name, content in sections.items():
            (self._folder / name).write_bytes(content)
            words.append(f"--{name[1:]}={self._folder / name}")
        words += [f"--phase={phase}" for phase in phases]
        return ask(str(library / "ld-linux-x86-64.so.2"), *words, *flags)
