"""Where a benchmark that builds with Bazel was called, and where it works."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.core.errors import UserError


def called_in(target: str) -> Path:
    """Returns the checkout in which `bazel run` was called.

    Args:
        target: label of the benchmark, for the message.

    Raises:
        UserError: it was not called by `bazel run`.
    """
    checkout = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if checkout is None:
        raise UserError(f"BUILD_WORKSPACE_DIRECTORY is not set; call it by bazel run {target}")
    return Path(checkout)


@contextmanager
def work_folder(given: str | None) -> Iterator[Path]:
    """Yields the folder that --work names, or a temporary one, which is removed at the end of the context.

    Raises:
        UserError: Bazel's actions would not see it.
    """
    with tempfile.TemporaryDirectory(dir=Path.home() / ".cache") as made:
        folder = Path(given or made).resolve()
        if folder.is_relative_to("/tmp"):
            raise UserError(f"--work: {folder} is below /tmp, which Bazel's actions don't see; choose another folder")
        yield folder
