"""Faults at the commit of an update, its first boot, and its confirmation.

The numbers in the names of tests are those of the faults in doc/Upgrade.adoc.
"""

import contextlib
import errno
import os
from pathlib import Path

import pytest
from fault_checks import FAILED, REFUSED_STATE
from file_machine import both_modes
from guestos import boot_state, durable, grubenv, slots
from guestos.boot_state import DAMAGED, STABLE, BootState
from update_images import MIB

pytestmark = both_modes


def test_30_commit_without_an_installation(refused):
    refused(REFUSED_STATE, "nothing was installed there", "upgrade-commit")


def test_30_commit_of_a_slot_that_was_changed_since(machine, update, update_tar, capsys):
    assert machine("upgrade-install", update_tar) == 0
    images = dict(zip(("boot", "root"), update.images, strict=True))
    for name, image in images.items():
        for offset in (0, 2000, MIB, 2 * MIB + 1, 3 * MIB - 1, image.size - 1):
            with changed_byte(machine.partition("B", name), offset):
                assert machine("upgrade-commit") == REFUSED_STATE
            error = capsys.readouterr().err
            assert f"B_{name}: was changed since the installation, in the MiB from byte {offset // MIB * MIB} " in error
            assert machine.slot("B").state == slots.READY
            assert machine.read_state() == BootState("A", STABLE, "A")
    assert machine("upgrade-commit") == 0


def test_30_commit_of_a_slot_whose_var_was_written_since(machine, update_tar, capsys):
    assert machine("upgrade-install", update_tar) == 0
    with changed_byte(machine.partition("B", "var"), 12 * MIB):
        assert machine("upgrade-commit") == REFUSED_STATE
    assert f"B_var: was written since the installation, in the MiB from byte {12 * MIB} on" in capsys.readouterr().err
    assert machine("upgrade-commit") == 0


def test_30_commit_without_the_manifest_of_the_installation(machine, update, update_tar, capsys, tmp_path):
    assert machine("upgrade-install", update_tar) == 0
    path = machine.folder / "config/slots/B.manifest.json"
    assert path.read_bytes() == update.manifest
    path.write_bytes(update.but(version="1.2.5").manifest)
    assert machine("upgrade-commit") == REFUSED_STATE
    assert "B.manifest.json: was changed since the installation; install again" in capsys.readouterr().err
    path.write_bytes(b"{}")
    assert machine("upgrade-commit") == REFUSED_STATE
    assert "B.manifest.json: cannot be read: " in capsys.readouterr().err
    path.unlink()
    assert machine("upgrade-commit") == REFUSED_STATE
    assert "B.manifest.json: cannot be read: " in capsys.readouterr().err


@contextlib.contextmanager
def changed_byte(path, offset):
    """Flips the bits of a byte for the duration of the context."""
    with open(path, "r+b") as file:
        before = os.pread(file.fileno(), 1, offset)
        os.pwrite(file.fileno(), bytes([before[0] ^ 0xFF]), offset)
        try:
            yield
        finally:
            os.pwrite(file.fileno(), before, offset)


def test_30_a_slot_record_that_cannot_be_parsed(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    states = '{"state": "unknown"}', '{"state": "ready", "manifest": ""}', '{"state": "ready"}'
    for text in ("", "{}", *states, "[]"):
        (machine.folder / "config/slots/B.json").write_text(text)
        assert machine("upgrade-commit") == REFUSED_STATE
        assert "slot B cannot be booted" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"# GRUB", os.urandom(1024), b"\0" * 1024, b"#" * 1024])
def test_32_damaged_grubenv(machine, update_tar, data, capsys):
    for confirmed in "AB":
        machine.state(confirmed, STABLE, confirmed)
        Path(machine.environment.grubenv).write_bytes(data)
        decision = boot_state.decide(machine.read_state())
        assert (decision.slot, decision.reason) == (confirmed, DAMAGED)
        machine.runs(confirmed, DAMAGED)
        capsys.readouterr()
        assert machine("status") == 0
        assert f"The boot state was damaged: slot {confirmed} was booted" in capsys.readouterr().out
        assert machine("upgrade-install", update_tar) == REFUSED_STATE
        assert machine("confirm") == 0
        assert machine.read_state() == BootState(confirmed, STABLE, confirmed)


@pytest.mark.parametrize("value", ["$(touch rebooted)", "`touch rebooted`", "A; touch rebooted", "A\nx=y", "'"])
def test_33_shell_characters(machine, value):
    text = f"# GRUB Environment Block\nboot_alternative={value}\nboot_cycle={value}\n".encode()
    Path(machine.environment.grubenv).write_bytes(text.ljust(1024, b"#"))
    assert machine("status") == 0
    assert machine("confirm") == 0
    assert not machine.rebooted


def test_37_confirm_before_the_reboot(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit")
    before = machine.snapshot()
    assert machine("confirm") == REFUSED_STATE
    assert "reboot before you confirm what was never booted" in capsys.readouterr().err
    assert machine.snapshot() == before


def test_39_confirm_again_writes_nothing(machine, update_tar, monkeypatch):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit")
    machine.boot()
    assert machine("confirm") == 0

    def refuse(*arguments):
        raise AssertionError("a write")

    monkeypatch.setattr("guestos.status.write_metrics", lambda environment, done: None)  # metrics are not on the disk
    for name in ("pwrite", "ftruncate", "fsync", "replace", "mkdir", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    before = machine.snapshot()
    assert machine("confirm") == 0
    assert machine.snapshot() == before


def test_42_the_boot_state_of_an_older_boot_loader(machine):
    """Without the file `confirmed`, and with a variable that is unknown."""
    os.unlink(boot_state.confirmed_path(machine.environment.grubenv))
    grubenv.write(machine.environment.grubenv, {"boot_alternative": "B", "boot_cycle": STABLE, "more": "x"})
    assert machine.boot().slot == "B"
    assert machine("confirm") == 0
    assert machine.read_state() == BootState("B", STABLE, "B")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_44_grubenv_cannot_be_written(machine, update_tar, monkeypatch, capsys, number):
    machine("upgrade-install", update_tar)
    state = Path(machine.environment.grubenv).read_bytes()
    real = os.pwrite

    def write(file, data, offset):
        if os.path.samestat(os.fstat(file), os.stat(machine.environment.grubenv)):
            raise OSError(number, os.strerror(number))
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", write)
    assert machine("upgrade-commit") == FAILED
    assert "grubenv: cannot be written" in capsys.readouterr().err
    assert not machine.rebooted
    assert Path(machine.environment.grubenv).read_bytes() == state
    monkeypatch.setattr(os, "pwrite", real)
    assert machine.slot("B").state == slots.READY
    assert machine("upgrade-commit") == 0, "once it can be written"


def test_44_the_config_store_is_full(machine, update_tar, monkeypatch, refused):
    def full(path, data):
        raise durable.GuestError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(durable, "replace", full)
    (machine.folder / "config/slots").mkdir()
    refused(FAILED, "B.json: cannot be written: No space left", "upgrade-install", update_tar)


def test_44_no_reboot(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    object.__setattr__(machine.environment, "reboot", ("/bin/false",))
    assert machine("upgrade-commit") == FAILED
    assert "/bin/false failed: ; reboot the machine by hand" in capsys.readouterr().err


def test_36_a_new_system_that_is_not_confirmed_in_time(machine, update_tar):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit", "--no-reboot")
    assert machine("end-trial") == 0
    assert not machine.rebooted, "the new system does not run yet"
    machine.boot()
    assert machine("end-trial") == 0
    assert machine.rebooted
    assert machine.boot().slot == "A"
    assert machine("end-trial") == 0
    assert not machine.rebooted, "the old system keeps running"


def test_36_a_new_system_that_was_confirmed(machine, update_tar):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit")
    machine.boot()
    assert machine("confirm") == 0
    assert machine("end-trial") == 0
    assert not machine.rebooted
