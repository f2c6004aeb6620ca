"""Finds kernels whose index of modules, made by depmod(8), names modules that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = "usr/lib/modules"
"""Directory with a folder for each kernel, named as its version; without leading slash."""


def outdated_indexes(root: Path) -> Iterator[str]:
    """Yields the versions of kernels whose modules.dep (modules.dep(5)) names a module that is not there.

    Args:
        root: the root directory of the system.
    """
    for index in sorted(root.glob(f"{FOLDER}/*/modules.dep")):
        names = (line.partition(":")[0] for line in index.read_text(encoding="utf-8").splitlines())
        if not all((index.parent / name).exists() for name in names):
            yield index.parent.name
