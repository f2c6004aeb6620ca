"""A temporary folder with a short path, since the address of a socket has at most 108 bytes (unix(7))."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Yields an empty folder, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="node-", dir="/tmp") as folder:
        yield Path(folder)
