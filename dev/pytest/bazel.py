"""Runs pytest the way that `bazel test` asks a test to behave.

What Bazel sets in the environment, and expects in return, is in its test encyclopedia
(https://bazel.build/reference/test-encyclopedia).
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
    """A pytest plugin that keeps the tests of one shard, and those that a filter names.

    Shards are dealt over the sorted node ids of all tests of the target, so a filter doesn't move a test to another
    shard, and each shard gets its share of a parametrized test.
    """

    def __init__(self, shard: int = 0, shards: int = 1, node: str = "") -> None:
        """Takes the place of this process.

        Args:
            shard: index of the shard, from 0.
            shards: how many there are.
            node: node id of a file, class or test that alone is wanted; "" for all.
        """
        self._shard = shard
        self._shards = shards
        self._node = node
        self.collected = 0
        self.selected = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> object:
        """Counts what there is, lets other selections (such as -k) happen, and takes this shard's share of the rest."""
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
    """Runs the tests in the files that `arguments` name; returns the exit status."""
    environment = os.environ
    if sys.pycache_prefix is None:
        sys.dont_write_bytecode = True  # the files lie in trees that belong to Bazel
    _report_timeouts()
    _announce(environment)
    selection, options = _selection(environment)
    status = pytest.main(
        [*_options(environment), *options, *arguments],
        plugins=[selection, "dev.pytest.plugin"],
    )
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        status = _judge_no_tests(selection, environment)
    _retract(environment)
    return int(status)


def _report_timeouts() -> None:
    """Prints where each thread stands when Bazel ends a test that takes too long, which it does by SIGTERM."""
    stderr = os.fdopen(os.dup(2), "w")  # pytest captures the descriptor itself
    faulthandler.register(signal.SIGTERM, file=stderr, chain=True)


def _announce(environment: Mapping[str, str]) -> None:
    """Says that sharding is understood, and that exit before the end of main is no success."""
    for variable in ("TEST_SHARD_STATUS_FILE", "TEST_PREMATURE_EXIT_FILE"):
        if path := environment.get(variable):
            Path(path).touch()


def _retract(environment: Mapping[str, str]) -> None:
    if path := environment.get("TEST_PREMATURE_EXIT_FILE"):
        Path(path).unlink(missing_ok=True)


def _options(environment: MutableMapping[str, str]) -> list[str]:
    """Returns pytest's options; points temporary files to where Bazel wants them."""
    # No configuration but this: what happens to lie above the runfiles must not matter.
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
    """Returns what chooses the tests, and pytest's options for it."""
    shard = int(environment.get("TEST_SHARD_INDEX", "0"))
    shards = int(environment.get("TEST_TOTAL_SHARDS", "1"))
    wanted = environment.get("TESTBRIDGE_TEST_ONLY", "")
    if ".py" in wanted:
        return Selection(shard, shards, node=wanted), []
    return Selection(shard, shards), ["-k", wanted] if wanted else []


def _judge_no_tests(selection: Selection, environment: Mapping[str, str]) -> pytest.ExitCode:
    """Returns the status of a run without any test: good for a shard that has no share, bad otherwise."""
    if selection.selected:
        return pytest.ExitCode.OK
    if selection.collected:
        wanted = environment.get("TESTBRIDGE_TEST_ONLY") or "the arguments"
        problem = f"none of the {selection.collected} tests is selected by {wanted}"
    else:
        problem = "the files hold no test"
    print(f"{environment.get('TEST_TARGET', 'pytest')}: {problem}", file=sys.stderr)
    return pytest.ExitCode.NO_TESTS_COLLECTED
