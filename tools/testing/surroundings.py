"""What must not have an effect on the output of a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def other_surroundings(folder: Path) -> Iterator[Path]:
    """Sets another time zone, locale and umask; yields a new folder whose mode new files of it would inherit.

    Args:
        folder: where to make the folder.
    """
    other = folder / "other"
    other.mkdir(mode=0o2777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        patch.setenv("LC_ALL", "de_DE.UTF-8")
        old = os.umask(0o077)
        try:
            yield other
        finally:
            os.umask(old)
