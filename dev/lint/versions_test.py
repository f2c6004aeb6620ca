"""Every module of the checkout names the version of Bazel that it is tested with, and it is the same one."""

import json
import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def files() -> dict[str, Path]:
    """Returns the files of the checkout by path: by Bazel's listing, else as git lists them."""
    index = os.environ.get("LINT_INDEX")
    if index:
        paths = json.loads(Path(index).read_text())["paths"]
        return {path: Path(index).parent / f"{path}.file" for path in paths}
    done = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return {path: CHECKOUT / path for path in done.stdout.split("\0")[:-1]}


def test_bazel_version():
    found = files()
    folders = [path.removesuffix("MODULE.bazel") for path in found if path.rpartition("/")[2] == "MODULE.bazel"]
    assert {"", "examples/data-disk/", "tests/e2e/consumer/"} <= set(folders)
    expected = found[".bazelversion"].read_text()
    assert {folder: found[f"{folder}.bazelversion"].read_text() for folder in folders} == dict.fromkeys(
        folders, expected
    )
