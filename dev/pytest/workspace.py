"""Simulates Bazel's test environment, for tests of the test runner."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.pytest import bazel

MAIN = Path(bazel.__file__).with_name("main.py")

# Each run is forked from a process that has imported pytest, and hypothesis if installed: importing them takes longer
# than most runs.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["dev.pytest.bazel", "dev.pytest.plugin", "hypothesis"])


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
        _, _, *command = self.command(source, *arguments)
        outputs = [self.scratch / name for name in ("stdout", "stderr")]
        process = _PROCESSES.Process(
            target=_run_main, args=(command, self.runfiles, self.environment(**extra), outputs, self.bytecode)
        )
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(command, process.exitcode, *(output.read_text() for output in outputs))

    def reported(self) -> list[str]:
        """Returns the names of the tests in the XML report."""
        return [f"{case.get('classname')}.{case.get('name')}" for case in ET.parse(self.xml).iter("testcase")]


def _run_main(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], outputs: Sequence[Path], bytecode: Path
) -> None:
    """Runs the main function of main.py in a forked process, with its arguments, environment and output files."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.pycache_prefix = str(bytecode)
    for descriptor, output in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.exit(bazel.main(arguments))
