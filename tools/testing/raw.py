"""Writes images to files, for tools that read only files."""

from __future__ import annotations

import os
from pathlib import Path

from tools.image.extents import Image


def write_raw(image: Image, path: Path) -> Path:
    """Writes an image to a sparse file, and returns its path.

    Intentionally simple: tests of format writers should not depend on `tools.image.rawfile`.
    """
    with path.open("wb") as file:
        os.truncate(file.fileno(), image.size)
        for offset, data in image.chunks():
            os.pwrite(file.fileno(), data, offset)
    return path
