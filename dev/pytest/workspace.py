"""A stand-in for Bazel, to test the runner with."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from dev.pytest import bazel

MAIN = Path(bazel.__file__).with_name("main.py")


class Workspace:
    """A folder of test files, and what Bazel would set for a test in it.

    Attributes:
        runfiles: folder in which the tests run.
        scratch: folder for their temporary files.
        xml: where the report goes.
    """

    def __init__(self, folder: Path, bytecode: Path) -> None:
        """Makes the folders.

        Args:
            folder: to make them in.
            bytecode: folder for compiled modules, which all runs share.
        """
        self.bytecode = bytecode
        self.runfiles = folder / "runfiles"
        self.runfiles.mkdir()
        self.xml = folder / "test.xml"
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def command(self, source: str, *arguments: str) -> list[str]:
        """Writes `sample_test.py` and returns the command that runs it."""
        Path(self.runfiles, "sample_test.py").write_text(source)
        return [sys.executable, str(MAIN), "sample_test.py", *arguments]

    def environment(self, **extra: object) -> dict[str, str]:
        """Returns what Bazel sets, with `extra`."""
        return {
            "PATH": os.defpath,
            "PYTHONPYCACHEPREFIX": str(self.bytecode),  # each run compiles pytest otherwise
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "TEST_TARGET": "//sample:sample_test",
            "TEST_TMPDIR": str(self.scratch),
            "XML_OUTPUT_FILE": str(self.xml),
        } | {name: str(value) for name, value in extra.items()}

    def run(self, source: str, *arguments: str, **extra: object) -> subprocess.CompletedProcess[str]:
        """Runs the tests in `source`, with arguments for pytest and further variables; returns how it went."""
        return subprocess.run(
            self.command(source, *arguments),
            cwd=self.runfiles,
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            check=False,
        )

    def reported(self) -> list[str]:
        """Names of the tests in the XML report."""
        return [f"{case.get('classname')}.{case.get('name')}" for case in ET.parse(self.xml).iter("testcase")]
