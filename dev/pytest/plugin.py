"""What tests find in place: reproducible property tests, and a folder for files that a reader should see."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Makes hypothesis try the same examples every time, on a machine of any speed, and keep nothing between runs.

    A profile must be there before test modules are imported: their own @settings start from it.
    """
    if importlib.util.find_spec("hypothesis") is None:
        return
    from hypothesis import settings  # noqa: PLC0415 - costs time where it isn't used

    settings.register_profile("reproducible", derandomize=True, deadline=None, database=None, print_blob=True)
    settings.load_profile("reproducible")


@pytest.fixture
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of this test whose files `bazel test` keeps (in outputs.zip of the test's logs)."""
    kept = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if kept is None:
        return tmp_path
    folder = Path(kept, re.sub(r"[^\w.-]+", "_", request.node.nodeid))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
