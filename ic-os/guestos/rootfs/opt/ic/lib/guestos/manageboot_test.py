import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import syslog
from pathlib import Path

import pytest

from guestos import boot_state, grubenv, journal, manageboot, transitions
from guestos.boot_state import FAILSAFE_CHECK, FIRST_BOOT, INSTALL, STABLE, BootState
from guestos.environment import Environment


@pytest.fixture
def machine(tmp_path):
    """A machine with slot B booted for the first time; calling it runs manageboot.sh."""

    class Machine:
        grubenv = str(tmp_path / "grubenv")
        boot = tmp_path / "boot"
        environment = Environment(
            booted=str(boot),
            config=str(tmp_path / "config"),
            share=str(tmp_path / "share"),
            metrics=str(tmp_path / "metrics"),
            reboot=("/usr/bin/touch", str(tmp_path / "rebooted")),
        )

        def state(self, alternative, cycle, confirmed):
            grubenv.write(self.grubenv, {"boot_alternative": alternative, "boot_cycle": cycle})
            grubenv.write(boot_state.confirmed_path(self.grubenv), {"confirmed_slot": confirmed})

        def __call__(self, *arguments):
            return manageboot.main(["-f", self.grubenv, *arguments], self.environment)

    machine = Machine()
    machine.boot.write_text("SLOT=B\nDISK=vda\nROOT_HASH=00ff\nBOOT_STATE=\nTRUST=distribution\n")
    machine.state("B", FAILSAFE_CHECK, "A")
    (tmp_path / "config").mkdir()
    (tmp_path / "metrics").mkdir()
    return machine


def test_prints_slots_and_partitions(machine, capsys):
    actions = "current", "target", "next", "current_partition", "current_root", "target_partition", "target_root"
    for action in actions:
        assert machine(action) == 0
    b_root, a_root = "/dev/guestos/B_root", "/dev/guestos/A_root"
    assert capsys.readouterr().out.split() == ["B", "A", "A", b_root, b_root, a_root, a_root]


@pytest.mark.parametrize("option", ["-f {}", "-f{}", "-f /nowhere -f {}", "-f {} --"])
@pytest.mark.parametrize("action", ["next", "guestos next"])
def test_options_come_before_the_system_and_the_action(machine, capsys, option, action):
    words = f"{option.format(machine.grubenv)} {action}".split()
    assert manageboot.main(words, machine.environment) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "A\n"


@pytest.mark.parametrize("words", ["guestos next", "-- guestos next", "-- next"])
def test_the_system_needs_no_option_before_it(machine, capsys, words):
    environment = dataclasses.replace(machine.environment, grubenv=machine.grubenv)
    assert manageboot.main(words.split(), environment) == 0
    assert capsys.readouterr().out == "A\n"


def test_the_system_of_the_host_is_another_machine(machine, capsys):
    assert machine("hostos", "confirm") == 2
    assert capsys.readouterr().err == "manageboot.sh: this machine is a guestos, and has no action for a hostos\n"
    assert boot_state.read(machine.grubenv).cycle == FAILSAFE_CHECK


def test_confirm_writes_the_boot_state_and_prints_nothing(machine, capsys):
    assert machine("confirm") == 0
    assert boot_state.read(machine.grubenv) == BootState("B", STABLE, "B")
    assert capsys.readouterr() == ("", "")


def test_confirm_again_writes_nothing(machine):
    machine("confirm")
    for name in (machine.grubenv, boot_state.confirmed_path(machine.grubenv)):
        os.chmod(name, 0o444)
    before = [os.stat(name).st_mtime_ns for name in (machine.grubenv, boot_state.confirmed_path(machine.grubenv))]
    assert machine("confirm") == 0
    after = [os.stat(name).st_mtime_ns for name in (machine.grubenv, boot_state.confirmed_path(machine.grubenv))]
    assert after == before


@pytest.mark.parametrize(
    ("alternative", "cycle", "message"),
    [
        ("A", FIRST_BOOT, "slot A waits for its first boot: reboot before you confirm what was never booted"),
        ("B", FIRST_BOOT, "slot B waits for its first boot: reboot before you confirm what was never booted"),
        ("A", FAILSAFE_CHECK, "slot A is on trial, but slot B runs; a system can only confirm its own slot"),
    ],
)
def test_confirm_is_refused_while_another_slot_is_on_trial(machine, capsys, alternative, cycle, message):
    machine.state(alternative, cycle, "A")
    before = Path(machine.grubenv).read_bytes()
    assert machine("confirm") == 3
    assert capsys.readouterr().err == f"manageboot.sh: {message}\n"
    assert Path(machine.grubenv).read_bytes() == before


@pytest.mark.parametrize(("alternative", "cycle", "confirmed"), [("B", INSTALL, "A"), ("B", STABLE, "A")])
def test_confirm_repairs_a_state_that_grub_could_not_save(machine, alternative, cycle, confirmed):
    machine.state(alternative, cycle, confirmed)
    assert machine("confirm") == 0
    assert boot_state.read(machine.grubenv) == BootState("B", STABLE, "B")


def test_confirm_repairs_a_damaged_grubenv(machine):
    Path(machine.grubenv).write_bytes(b"")
    assert machine("confirm") == 0
    assert boot_state.read(machine.grubenv) == BootState("B", STABLE, "B")


def test_a_second_process_is_refused(machine, capsys, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert machine("confirm") == 5
    finally:
        os.close(descriptor)
    assert "another manageboot.sh is running" in capsys.readouterr().err
    assert machine("confirm") == 0


def test_status(machine, capsys):
    assert machine("status", "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status == {
        "boot_alternative": "B",
        "boot_cycle": "failsafe_check",
        "boot_state": None,
        "confirmed": "A",
        "current": "B",
        "next": "A",
        "notes": ["Slot B is not confirmed: the next boot is of slot A."],
        "slots": {
            "A": {"problem": None, "state": "as shipped", "version": None},
            "B": {"problem": None, "state": "on trial", "version": None},
        },
        "stable": False,
        "version": None,
    }
    assert machine("status") == 0
    assert "stable: no\n" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "SLOT=C\nDISK=vda\nROOT_HASH=0\nBOOT_STATE=stable\nTRUST=own_keys\n", "SLOT=A\n"])
def test_a_damaged_record_of_the_boot_is_an_error(machine, capsys, text):
    machine.boot.write_text(text)
    assert machine("confirm") == 1
    assert capsys.readouterr().err.startswith(f"manageboot.sh: {machine.boot}: ")


def test_a_commit_succeeds_although_the_reboot_ends_the_callers_service(machine, monkeypatch):
    """systemd sends SIGTERM to all processes of a service, as soon as the reboot begins."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "umask", lambda _: 0)
    monkeypatch.setattr(transitions, "commit", lambda *_: "1.2.3")
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append("SIGTERM"))
    try:
        command = "/bin/sh", "-c", "kill -TERM $PPID"
        environment = dataclasses.replace(machine.environment, reboot=command)
        assert manageboot.main(["upgrade-commit"], environment, "/opt/ic/bin/manageboot.sh") == 0
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["confirm", "more"],
        ["--nonsense", "confirm"],
        ["curr"],
        ["guestos"],
        ["guestos", "guestos", "current"],
        ["upgrade-install"],
        ["confirm", "a\nb"],
    ],
)
def test_an_invalid_command_line_is_an_error_like_others(machine, monkeypatch, capsys, arguments):
    logged = []
    monkeypatch.setattr(journal, "error", logged.append)
    assert machine(*arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("manageboot.sh: ")
    assert output.err.count("\n") == 1
    assert logged == [output.err.strip().replace("manageboot.sh:", "command line:", 1)]


def test_a_name_that_is_no_utf_8_can_be_logged(monkeypatch):
    logged = []
    monkeypatch.setattr(syslog, "syslog", lambda _, text: logged.append(text.encode()))
    journal.error(os.fsdecode(b"image\xff: cannot be read"))
    assert logged == [rb"image\udcff: cannot be read"]


def test_the_script_runs_through_a_link_from_any_directory(tmp_path):
    script = Path(manageboot.__file__).parents[2] / "bin" / "manageboot.sh"
    link = tmp_path / "link"
    link.symlink_to(script)
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("/usr/bin/python3 is missing: install the Debian package python3")
    result = subprocess.run([link, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "manageboot.sh [-h] [-f grubenv] ACTION" in result.stdout
    assert sys.version_info >= (3, 11)
