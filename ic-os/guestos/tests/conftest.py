"""Fixtures of the tests of upgrades; plain pytest finds the guest's own Python through this, too."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "rootfs/opt/ic/lib"))

from file_machine import FileMachine
from update_images import Update, make_key


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys; `test` is there, and more come as they are asked for."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder, "test")
    return folder


@pytest.fixture(scope="session")
def update(keys: Path) -> Update:
    """An update image that every machine here takes."""
    return Update(keys)


@pytest.fixture(scope="session")
def update_tar(update: Update, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    return update.write(tmp_path_factory.mktemp("update") / "update-img.tar")


@pytest.fixture
def machine(tmp_path: Path, keys: Path) -> FileMachine:
    """A machine that knows the key `test`."""
    machine = FileMachine(tmp_path / "machine")
    shutil.copy(keys / "test.pem", machine.folder / "share/update-keys")
    return machine
