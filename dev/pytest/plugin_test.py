"""Tests the plugin under the test runner."""

import re
from pathlib import Path

import pytest

from dev.pytest.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    bytecode = tmp_path_factory.getbasetemp() / "bytecode"
    return Workspace(tmp_path, bytecode)


def test_artifacts_are_kept(workspace: Workspace, tmp_path: Path) -> None:
    source = "def test_it(artifacts):\n    (artifacts / 'log.txt').write_text('kept')\n"
    assert workspace.run(source).returncode == 0
    assert workspace.run(source, TEST_UNDECLARED_OUTPUTS_DIR=tmp_path / "outputs").returncode == 0
    assert (tmp_path / "outputs" / "sample_test.py_test_it" / "log.txt").read_text() == "kept"


def test_property_tests_try_the_same_examples_each_time(workspace: Workspace) -> None:
    pytest.importorskip("hypothesis")
    source = """
from hypothesis import given, settings, strategies

@given(strategies.integers())
@settings(max_examples=20)
def test_it(value):
    assert settings.default.deadline is None
    print("tried", value)
"""

    def tried() -> list[str]:
        done = workspace.run(source, "-s")
        assert done.returncode == 0, done.stdout
        return re.findall(r"tried (-?\d+)", done.stdout)

    first = tried()
    assert len(first) == 20
    assert tried() == first
    assert not list(workspace.scratch.rglob("examples"))
