"""Runs pytest under `bazel test`: implements sharding, filters, test.xml and temporary directories.

See the test encyclopedia (https://bazel.build/reference/test-encyclopedia) for the protocol.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

import pytest


class Selection:
    """A pytest plugin that selects the tests of one shard and of a filter.

    Tests are distributed round-robin over the shards, sorted by node ID, before the filter is applied. So a filter
    doesn't move a test to another shard, and parametrized tests are distributed over the shards.
    """

    def __init__(self, shard: int = 0, shards: int = 1, node: str = "") -> None:
        """Sets the selection of this process.

        Args:
            shard: index of the shard, from 0.
            shards: number of shards.
            node: node ID of the only file, class or test to run; empty for all.
        """
        self._shard = shard
        self._shards = shards
        self._node = node
        self.collected = 0
        self.selected = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> object:
        """Counts the collected tests, and, after other selections such as -k, keeps only those of this shard."""
        nodes = sorted(item.nodeid for item in items)
        self.collected = len(nodes)
        mine = frozenset(nodes[self._shard :: self._shards])
        result = yield
        selected = {item.nodeid for item in items if self._is_wanted(item.nodeid)}
        self.selected = len(selected)
        kept = selected & mine
        if dropped := [item for item in items if item.nodeid not in kept]:
            config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item.nodeid in kept]
        return result

    def _is_wanted(self, node: str) -> bool:
        return not self._node or node == self._node or node.startswith((self._node + "::", self._node + "["))


def main(arguments: Sequence[str]) -> int:
    """Runs pytest with `arguments`, which include the test files; returns the exit status."""
    environment = os.environ
    if sys.pycache_prefix is None:
        sys.dont_write_bytecode = True  # the files are in directories that Bazel manages
    _report_timeouts()
    _announce(environment)
    selection, options = _selection(environment)
    status = pytest.main([*_options(environment), *options, *arguments], plugins=[selection, "dev.pytest.plugin"])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        status = _no_tests_status(selection, environment)
    _retract(environment)
    return int(status)


def _report_timeouts() -> None:
    """Prints the stack of each thread on SIGTERM, which Bazel sends to a test after its timeout."""
    stderr = os.fdopen(os.dup(2), "w")  # pytest captures descriptor 2
    faulthandler.register(signal.SIGTERM, file=stderr, chain=True)


def _announce(environment: Mapping[str, str]) -> None:
    """Creates the files that announce support for sharding, and that mark an exit before the end of `main`."""
    for variable in ("TEST_SHARD_STATUS_FILE", "TEST_PREMATURE_EXIT_FILE"):
        if path := environment.get(variable):
            Path(path).touch()


def _retract(environment: Mapping[str, str]) -> None:
    if path := environment.get("TEST_PREMATURE_EXIT_FILE"):
        Path(path).unlink(missing_ok=True)


def _options(environment: MutableMapping[str, str]) -> list[str]:
    """Returns pytest's options; sets TMPDIR to Bazel's temporary directory."""
    # Ignore configuration files in directories above the runfiles.
    options = [f"--rootdir={Path.cwd()}", f"--confcutdir={Path.cwd()}", "-c", os.devnull]
    options += ["--import-mode=importlib", "--strict-markers", "-p", "no:cacheprovider", "-rfEs"]
    if scratch := environment.get("TEST_TMPDIR"):
        environment["TMPDIR"] = tempfile.tempdir = scratch
        environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(scratch, "hypothesis"))
        options += [f"--basetemp={Path(scratch, 'pytest')}", "-o", "tmp_path_retention_policy=failed"]
    if report := environment.get("XML_OUTPUT_FILE"):
        options += [f"--junit-xml={report}", "-o", f"junit_suite_name={environment.get('TEST_TARGET', 'pytest')}"]
    if environment.get("TESTBRIDGE_TEST_RUNNER_FAIL_FAST") == "1":
        options.append("--exitfirst")
    return options


def _selection(environment: Mapping[str, str]) -> tuple[Selection, list[str]]:
    """Returns the selection of tests, and pytest's options for it."""
    shard = int(environment.get("TEST_SHARD_INDEX", "0"))
    shards = int(environment.get("TEST_TOTAL_SHARDS", "1"))
    wanted = environment.get("TESTBRIDGE_TEST_ONLY", "")
    if ".py" in wanted:
        return Selection(shard, shards, node=wanted), []
    return Selection(shard, shards), ["-k", wanted] if wanted else []


def _no_tests_status(selection: Selection, environment: Mapping[str, str]) -> pytest.ExitCode:
    """Returns the exit status of a run without tests: success for an empty shard, else a failure."""
    if selection.selected:
        return pytest.ExitCode.OK
    if selection.collected:
        wanted = environment.get("TESTBRIDGE_TEST_ONLY") or "the arguments"
        problem = f"none of the {selection.collected} tests is selected by {wanted}"
    else:
        problem = "the files have no tests"
    print(f"{environment.get('TEST_TARGET', 'pytest')}: {problem}", file=sys.stderr)
    return pytest.ExitCode.NO_TESTS_COLLECTED
