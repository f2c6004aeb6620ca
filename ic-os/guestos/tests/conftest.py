"""Fixtures of the tests of upgrades. Puts the guest's Python package on sys.path for plain pytest."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "rootfs/opt/ic/lib"))

from fault_checks import check_bad
from file_machine import FileMachine
from guestos import booted
from guestos.boot_state import STABLE, BootState
from update_images import Update, make_key


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the key pair `test`; `make_key` adds more."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder, "test")
    return folder


@pytest.fixture(scope="session")
def trust(request: pytest.FixtureRequest) -> str:
    """The mode of trust of machine and update image; tests with the mark `both_modes` have each."""
    return str(getattr(request, "param", booted.DISTRIBUTION))


@pytest.fixture(scope="session")
def update(keys: Path, trust: str) -> Update:
    """An update image that is valid for every machine of these tests."""
    return Update(keys, own_keys=trust == booted.OWN_KEYS)


@pytest.fixture(scope="session")
def update_tar(update: Update, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    return update.write(tmp_path_factory.mktemp("update") / "update-img.tar")


@pytest.fixture
def machine(tmp_path: Path, keys: Path, trust: str) -> FileMachine:
    """A machine that trusts the key `test`."""
    machine = FileMachine(tmp_path / "machine", trust=trust)
    shutil.copy(keys / "test.pem", machine.folder / "share/update-keys")
    return machine


@pytest.fixture
def refused(machine: FileMachine, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Returns a function that runs manageboot.sh and checks that it refuses.

    It checks the exit status, that there is one line of error with the given text, and that the disk is unchanged.
    """

    def check(status: int, message: str, *arguments: object) -> None:
        before = machine.snapshot()
        capsys.readouterr()
        assert machine(*arguments) == status
        error = capsys.readouterr().err
        assert error.startswith("manageboot.sh: ")
        assert error.count("\n") == 1
        assert message in error
        assert machine.snapshot() == before
        assert machine.read_state() == BootState("A", STABLE, "A")

    return check


@pytest.fixture
def spoiled(machine: FileMachine, update_tar: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Returns a function that runs an installation, which must fail after it has begun to write.

    It checks that the slot is bad, that commit refuses it, and that a retry succeeds.
    """

    def check(status: int, message: str, path: Path) -> None:
        capsys.readouterr()
        assert machine("upgrade-install", path) == status
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
        check_bad(machine, update_tar)

    return check
