"""Starts a program as `bazel run` does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def bazel_run(
    target: str, *words: str, folder: Path, workspace: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Starts a program in its runfiles, with the arguments of its target before those of the caller.

    Args:
        target: name of environment variables of the test: NAME is the path of the program in the runfiles, and
            NAME_ARGS the arguments of its target, if it has some.
        words: what the caller gives.
        folder: that the caller is in.
        workspace: root of the checkout.
        environment: further variables.
    """
    values = {"BUILD_WORKING_DIRECTORY": str(folder), "BUILD_WORKSPACE_DIRECTORY": str(workspace)}
    command = [str(Path.cwd() / os.environ[target]), *os.environ.get(f"{target}_ARGS", "").split(), *words]
    return subprocess.run(
        command, env=os.environ | values | dict(environment or {}), capture_output=True, text=True, check=False
    )
