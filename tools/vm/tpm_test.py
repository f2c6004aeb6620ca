"""The TPM of a machine, as its firmware uses it."""

from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.testing.machines import emulator
from tools.testing.oracles import oracle
from tools.vm.architecture import AARCH64, X86_64
from tools.vm.machine import Machine, Settings
from tools.vm.tpm import find_swtpm, tpm_arguments

SECONDS = 300


def test_without_swtpm_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^swtpm: not found; install it \(Debian: swtpm\)$"):
        find_swtpm()


def test_the_machine_has_one_device_for_it():
    assert tpm_arguments(7)[:2] == ["-chardev", "socket,id=tpm,fd=7"]
    assert tpm_arguments(7)[-2:] == ["-device", "tpm-crb,tpmdev=tpm0"]
    assert tpm_arguments(7, AARCH64)[-2:] == ["-device", "tpm-tis-device,tpmdev=tpm0"]


def run_firmware(settings, folder):
    """Runs a machine without a disk until its firmware has found nothing to boot; returns the models of its TPMs."""
    folder.mkdir()
    with Machine(settings, folder, folder / "console.log") as machine:
        machine.console.expect("BdsDxe", SECONDS)
        models = [each["model"] for each in machine.qmp.execute("query-tpm")]
        machine.qmp.execute("quit")
        machine.wait_end(SECONDS)
    return models


@pytest.mark.parametrize(("architecture", "model"), [(AARCH64, "tpm-tis"), (X86_64, "tpm-crb")])
def test_the_firmware_starts_it_and_its_state_stays(tmp_path, architecture, model):
    """The firmware creates what the state keeps: the seeds, of which all of the TPM's own keys are made."""
    oracle("swtpm")
    own, state = emulator(architecture), tmp_path / "tpm"
    settings = Settings(**own, drives=[], network=False, memory_mib=256, tpm=str(state))
    assert run_firmware(settings, tmp_path / "first") == [model]
    (stored,) = state.glob("tpm2-*.permall")
    size = stored.stat().st_size
    assert size > 1000
    assert state.stat().st_mode & 0o777 == 0o700
    assert run_firmware(settings, tmp_path / "second") == [model]
    assert stored.stat().st_size >= size
    assert Path(tmp_path / "second/swtpm.log").read_text() == ""
