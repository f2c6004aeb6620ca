"""Lists the files of the checkout, for tests that read all of a kind."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]
_INDEX = "LINT_INDEX"
"""The variable with the path of index.json of `@checkout`, which Bazel sets."""


def listed_files() -> dict[str, Path]:
    """Returns the files of the checkout by path: by Bazel's listing, else as git lists them."""
    index = os.environ.get(_INDEX)
    if index:
        paths: list[str] = json.loads(Path(index).read_text())["paths"]
        return {path: Path(index).parent / f"{path}.file" for path in paths}
    done = subprocess.run(["git", "ls-files", "-z"], cwd=_CHECKOUT, capture_output=True, text=True, check=True)
    return {path: _CHECKOUT / path for path in done.stdout.split("\0")[:-1]}
