"""Removes the state of a replica whose node has left its subnet."""

from __future__ import annotations

import shutil
from pathlib import Path

from standins.config import Config
from standins.problems import StandInError

_KEPT = "page_deltas"
"""Is emptied and never deleted: its label and owner are those that the system gave it."""


def remove_state(config: Config) -> None:
    """Empties the folder of the state, and removes the consensus pool.

    Raises:
        StandInError: something cannot be removed.
    """
    try:
        for path in config.state_root.iterdir():
            for each in path.iterdir() if path.name == _KEPT else [path]:
                _remove(each)
        if config.consensus_pool.exists():
            shutil.rmtree(config.consensus_pool)
    except OSError as error:
        raise StandInError(f"{error.filename}: cannot be removed: {error.strerror}") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
