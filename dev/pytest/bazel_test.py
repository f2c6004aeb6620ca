"""Runs the test runner on sample test files, in the environment that Bazel sets."""

import os
import re
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

from dev.pytest.workspace import Workspace

SAMPLE = """
import pytest

def test_plain():
    pass

class TestGroup:
    def test_one(self): pass
    def test_other(self): pass

@pytest.mark.parametrize("value", range(10))
def test_many(value):
    pass
"""
SAMPLE_TESTS = 13
SMALL_SAMPLE = "import pytest\n@pytest.mark.parametrize('value', range(3))\ndef test_it(value):\n    pass\n"


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    bytecode = tmp_path_factory.getbasetemp() / "bytecode"
    return Workspace(tmp_path, bytecode)


def test_passing_tests_pass_and_are_reported(workspace: Workspace) -> None:
    done = workspace.run(SAMPLE)
    assert done.returncode == 0, done.stdout
    assert len(workspace.reported()) == SAMPLE_TESTS
    suite = next(ET.parse(workspace.xml).iter("testsuite"))
    assert suite.get("name") == "//sample:sample_test"


def test_failing_test_fails_and_shows_the_values(workspace: Workspace) -> None:
    done = workspace.run("def test_sum():\n    total = 1 + 1\n    assert total == 3\n")
    assert done.returncode == 1
    assert "assert 2 == 3" in done.stdout  # assertions of test modules are rewritten
    assert list(ET.parse(workspace.xml).iter("failure"))


def test_error_in_module_fails(workspace: Workspace) -> None:
    assert workspace.run("import no_such_module\n").returncode != 0


@pytest.mark.parametrize("source", ["", "def helper():\n    pass\n"])
def test_file_without_tests_fails(workspace: Workspace, source: str) -> None:
    done = workspace.run(source)
    assert done.returncode == 5
    assert "//sample:sample_test: the files have no tests" in done.stderr


def test_skip_is_logged_with_its_reason(workspace: Workspace) -> None:
    done = workspace.run("import pytest\ndef test_it():\n    pytest.skip('install mtools')\n")
    assert done.returncode == 0
    assert re.search(r"SKIPPED.*install mtools", done.stdout)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("test_plain", {"test_plain"}),
        ("one or other", {"test_one", "test_other"}),
        ("sample_test.py::TestGroup", {"test_one", "test_other"}),
        ("sample_test.py::TestGroup::test_one", {"test_one"}),
        ("sample_test.py::test_many", {f"test_many[{value}]" for value in range(10)}),
        ("sample_test.py::test_many[3]", {"test_many[3]"}),
    ],
)
def test_filter(workspace: Workspace, wanted: str, names: set[str]) -> None:
    done = workspace.run(SAMPLE, TESTBRIDGE_TEST_ONLY=wanted)
    assert done.returncode == 0, done.stdout
    assert {name.rpartition(".")[2] for name in workspace.reported()} == names


@pytest.mark.parametrize("wanted", ["no_such_test", "sample_test.py::test_man", "other_test.py"])
def test_filter_that_selects_nothing_fails(workspace: Workspace, wanted: str) -> None:
    done = workspace.run(SAMPLE, TESTBRIDGE_TEST_ONLY=wanted)
    assert done.returncode == 5
    assert f"none of the {SAMPLE_TESTS} tests is selected by {wanted}" in done.stderr


@pytest.mark.parametrize(("source", "tests", "shards"), [(SAMPLE, SAMPLE_TESTS, 3), (SMALL_SAMPLE, 3, 5)])
def test_shards_hold_every_test_once(workspace: Workspace, source: str, tests: int, shards: int) -> None:
    count: Counter[str] = Counter()
    for shard in range(shards):
        status = workspace.runfiles / f"status{shard}"
        done = workspace.run(source, TEST_TOTAL_SHARDS=shards, TEST_SHARD_INDEX=shard, TEST_SHARD_STATUS_FILE=status)
        assert done.returncode == 0, done.stdout
        assert status.exists()
        share = workspace.reported()
        assert abs(len(share) - tests / shards) < 1
        count.update(share)
    assert len(count) == tests
    assert set(count.values()) == {1}


def test_filter_does_not_move_tests_between_shards(workspace: Workspace) -> None:
    def share(**extra: object) -> set[str]:
        workspace.run(SAMPLE, TEST_TOTAL_SHARDS=3, TEST_SHARD_INDEX=1, **extra)
        return {name for name in workspace.reported() if "many" in name}

    assert share() == share(TESTBRIDGE_TEST_ONLY="sample_test.py::test_many") == share(TESTBRIDGE_TEST_ONLY="many")


def test_filter_that_leaves_a_shard_empty_passes(workspace: Workspace) -> None:
    results = [
        workspace.run(SAMPLE, TEST_TOTAL_SHARDS=2, TEST_SHARD_INDEX=shard, TESTBRIDGE_TEST_ONLY="test_plain")
        for shard in range(2)
    ]
    assert [done.returncode for done in results] == [0, 0]
    assert sorted("1 passed" in done.stdout for done in results) == [False, True]


def test_filter_that_selects_nothing_fails_in_every_shard(workspace: Workspace) -> None:
    for shard in range(2):
        done = workspace.run(SAMPLE, TEST_TOTAL_SHARDS=2, TEST_SHARD_INDEX=shard, TESTBRIDGE_TEST_ONLY="nothing")
        assert done.returncode == 5


def test_fail_fast(workspace: Workspace) -> None:
    source = "def test_a():\n    assert False\ndef test_b():\n    assert False\n"
    assert "2 failed" in workspace.run(source).stdout
    assert "1 failed" in workspace.run(source, TESTBRIDGE_TEST_RUNNER_FAIL_FAST=1).stdout


def test_early_exit_leaves_the_mark(workspace: Workspace) -> None:
    mark = workspace.runfiles / "exited"
    assert workspace.run(SAMPLE, TEST_PREMATURE_EXIT_FILE=mark).returncode == 0
    assert not mark.exists()
    done = workspace.run("import os\ndef test_it():\n    os._exit(0)\n", TEST_PREMATURE_EXIT_FILE=mark)
    assert done.returncode == 0
    assert mark.exists()


def test_temporary_files_go_where_bazel_wants_them(workspace: Workspace) -> None:
    source = """
import tempfile

def test_it(tmp_path):
    print("paths", tmp_path, tempfile.mkdtemp())
    assert False
"""
    (paths,) = re.findall(r"^paths (.*)$", workspace.run(source).stdout, re.MULTILINE)
    pytest_path, tempfile_path = paths.split()
    assert Path(pytest_path).is_relative_to(workspace.scratch)
    assert Path(tempfile_path).is_relative_to(workspace.scratch)
    assert os.listdir(workspace.runfiles) == ["sample_test.py"]  # no cache, compiled files or files of hypothesis


def test_timeout_shows_where_the_test_hangs(workspace: Workspace) -> None:
    source = """
import signal

def test_hangs():
    print("hanging", flush=True)
    while True:
        signal.pause()
"""
    with subprocess.Popen(
        workspace.command(source, "--capture=no"),
        cwd=workspace.runfiles,
        env=workspace.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert any("hanging" in line for line in process.stdout)
        process.terminate()
        errors = process.communicate()[1]
    assert process.returncode == -signal.SIGTERM
    assert "in test_hangs" in errors
