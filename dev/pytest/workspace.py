"""Simulates Bazel's test environment, for tests of the test runner."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from dev.pytest import bazel

MAIN = Path(bazel.__file__).with_name("main.py")


class Workspace:
    """A directory with a sample test, and the environment that Bazel sets for it.

    Attributes:
        runfiles: working directory of the test.
        scratch: directory for temporary files (TEST_TMPDIR).
        xml: path of the report (XML_OUTPUT_FILE).
    """

    def __init__(self, folder: Path, bytecode: Path) -> None:
        """Creates the directories.

        Args:
            folder: parent directory.
            bytecode: directory for compiled modules, shared by all runs.
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
        """Returns the environment that Bazel sets, and `extra`."""
        return {
            "PATH": os.defpath,
            "PYTHONPYCACHEPREFIX": str(self.bytecode),  # otherwise each run compiles pytest
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "TEST_TARGET": "//sample:sample_test",
            "TEST_TMPDIR": str(self.scratch),
            "XML_OUTPUT_FILE": str(self.xml),
        } | {name: str(value) for name, value in extra.items()}

    def run(self, source: str, *arguments: str, **extra: object) -> subprocess.CompletedProcess[str]:
        """Runs the tests in `source`, with arguments for pytest and further environment variables."""
        return subprocess.run(
            self.command(source, *arguments),
            cwd=self.runfiles,
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            check=False,
        )

    def reported(self) -> list[str]:
        """Returns the names of the tests in the XML report."""
        return [f"{case.get('classname')}.{case.get('name')}" for case in ET.parse(self.xml).iter("testcase")]
