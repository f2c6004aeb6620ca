"""Programs and tests in Python are declared by the macros of tools/python.bzl."""

import json
import os
import re
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
MACROS = "tools/python.bzl"
LOADS = re.compile(r'"@rules_python//python:(?:py_binary|py_test|defs)\.bzl"|\bnative\.py_')


def build_files() -> dict[str, str]:
    """Returns the text of BUILD and .bzl files by path, without those of other modules."""
    index = os.environ.get("LINT_INDEX")
    if index:
        paths = json.loads(Path(index).read_text())["paths"]
        found = {path: Path(index).parent / f"{path}.file" for path in paths}
    else:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
        found = {path: CHECKOUT / path for path in done.stdout.split("\0")[:-1]}
    return {
        path: file.read_text()
        for path, file in found.items()
        if path.endswith((".bazel", ".bzl")) and not path.startswith(("examples/", "tests/e2e/consumer/"))
    }


def test_all_are_declared_by_the_macros():
    files = build_files()
    assert {"tools/commands/command.bzl", "bench/BUILD.bazel"} <= files.keys()
    assert [path for path, text in files.items() if LOADS.search(text)] == [MACROS]
