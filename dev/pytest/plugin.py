"""A pytest plugin: reproducible property tests, and the fixture `artifacts`."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Configures hypothesis: the same examples in each run, no deadline, no database of examples.

    This must be done before test modules are imported, since their @settings are derived from the profile.
    """
    if importlib.util.find_spec("hypothesis") is None:
        return
    from hypothesis import settings  # noqa: PLC0415 - slow to import, so only if installed

    settings.register_profile("reproducible", derandomize=True, deadline=None, database=None, print_blob=True)
    settings.load_profile("reproducible")


@pytest.fixture
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory for this test, whose files `bazel test` keeps in test.outputs of the test's logs."""
    kept = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if kept is None:
        return tmp_path
    folder = Path(kept, re.sub(r"[^\w.-]+", "_", request.node.nodeid))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
