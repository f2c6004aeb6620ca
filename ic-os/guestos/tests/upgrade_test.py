"""Complete upgrades on a machine whose partitions are files."""

import json
import os
import re
import subprocess
import sys

import pytest
from file_machine import SIZES, both_modes
from guestos import slots
from guestos.boot_state import FAILSAFE_CHECK, FALLBACK, FIRST_BOOT, STABLE, BootState
from prometheus_client.parser import text_string_to_metric_families
from update_images import MIB

pytestmark = both_modes


@pytest.mark.parametrize("kind", ["tar", "gz", "zst"])
def test_installs_commits_boots_and_confirms(machine, update, tmp_path, kind, capsys):
    # The format is recognized by the content, whatever the name is.
    path = update.write(tmp_path / "update.tar.gz", kind)
    assert machine("upgrade-install", path) == 0, capsys.readouterr().err
    boot, root = update.images
    assert machine.holds("B", "boot", boot)
    assert machine.holds("B", "root", root)
    assert machine.partition("B", "var").read_bytes()[: 16 * MIB] == bytes(16 * MIB)
    assert machine.slot("B").state == slots.READY
    assert machine.read_state() == BootState("A", STABLE, "A")

    assert machine("upgrade-commit") == 0
    assert machine.rebooted
    assert machine.read_state() == BootState("B", FIRST_BOOT, "A")
    assert machine("confirm") == 3, "a slot that was never booted cannot be confirmed"

    assert (machine.boot().slot, machine.read_state().cycle) == ("B", FAILSAFE_CHECK)
    assert machine("upgrade-install", path) == 3, "the only good slot is not overwritten"
    assert machine("confirm") == 0
    assert machine.slot("B").state == slots.CONFIRMED
    assert [machine.boot().slot for _ in range(3)] == ["B", "B", "B"]


def test_installs_from_standard_input(machine, update, tmp_path, monkeypatch):
    for kind in ("tar", "gz", "zst"):
        with open(update.write(tmp_path / "update", kind), "rb") as file:
            monkeypatch.setattr(sys, "stdin", file)
            assert machine("upgrade-install", "-") == 0
        assert machine.holds("B", "root", update.images[1])


def test_installs_from_a_pipe(machine, update_tar, update, monkeypatch):
    with subprocess.Popen(["cat", update_tar], stdout=subprocess.PIPE) as cat:
        monkeypatch.setattr(sys, "stdin", cat.stdout)
        assert machine("upgrade-install", "-") == 0
    assert machine.holds("B", "boot", update.images[0])


def test_installs_unpacked_images(machine, update, tmp_path):
    folder = update.unpack(tmp_path / "unpacked")
    assert machine("upgrade-install", folder / "boot.img", folder / "root.img") == 0
    assert machine.holds("B", "boot", update.images[0])
    assert machine.holds("B", "root", update.images[1])
    assert machine.slot("B").state == slots.READY


def test_falls_back_and_reports_the_reason(machine, update_tar, capsys):
    assert machine("upgrade-install", update_tar) == 0
    assert machine("upgrade-commit") == 0
    machine.boot()
    decision = machine.boot()
    assert (decision.slot, decision.reason) == ("A", FALLBACK)
    capsys.readouterr()
    assert machine("status") == 0
    shown = capsys.readouterr().out
    assert "slot B with version 1.2.4 could not be started or was not confirmed" in shown
    assert "slot B: not confirmed, version 1.2.4" in shown
    assert machine("upgrade-commit") == 3
    assert "committed before, and was not confirmed" in capsys.readouterr().err
    assert machine("upgrade-install", update_tar) == 0, "an upgrade is possible afterwards"
    assert machine("upgrade-commit") == 0


def test_45_twenty_rounds(machine, update):
    kept = {machine.folder / name: name.encode() for name in ("config/machine-id", "config/ssh_key", "dev/data")}
    for path, content in kept.items():
        path.write_bytes(content)
    paths = [update.but(version=f"2.0.{number}").write(machine.folder / f"{number}.tar") for number in range(2)]
    for round_ in range(20):
        here, there = "AB" if round_ % 2 == 0 else "BA"
        assert machine("upgrade-install", paths[round_ % 2]) == 0
        assert machine("upgrade-commit", "--no-reboot") == 0
        assert machine.boot().slot == there != here
        assert machine("confirm") == 0
        assert machine.boot().slot == there
        assert {path: path.read_bytes() for path in kept} == kept


def test_commit_without_a_reboot(machine, update_tar):
    machine("upgrade-install", update_tar)
    assert machine("upgrade-commit", "--no-reboot") == 0
    assert not machine.rebooted


def test_commit_refuses_another_version_than_the_given_one(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    before = machine.snapshot()
    assert machine("upgrade-commit", "--version=9") == 3
    assert "slot B has version 1.2.4, not 9" in capsys.readouterr().err
    assert machine.snapshot() == before
    assert machine("upgrade-commit", "--version=1.2.4") == 0


def test_status_and_metrics(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    capsys.readouterr()
    machine("status", "--json")
    status = json.loads(capsys.readouterr().out)
    assert status["slots"] == {
        "A": {"state": "confirmed", "version": "1.2.3", "problem": None},
        "B": {"state": "ready", "version": "1.2.4", "problem": None},
    }
    assert (status["current"], status["next"], status["stable"], status["notes"]) == ("A", "A", True, [])
    metrics = (machine.folder / "metrics/guestos_upgrade.prom").read_text()
    assert 'guestos_slot_info{slot="B",state="ready",version="1.2.4"} 1\n' in metrics
    assert "guestos_boot_confirmed 1\n" in metrics
    assert "guestos_boot_stable 1\n" in metrics
    assert 'guestos_version{version="1.2.3"} 1\n' in metrics
    machine.runs("B")
    assert machine("metrics") == 0
    metrics = (machine.folder / "metrics/guestos_upgrade.prom").read_text()
    assert "guestos_boot_confirmed 0\n" in metrics
    assert "guestos_boot_stable 0\n" in metrics
    assert 'guestos_boot_action{next_boot="A",version="1.2.3"} 2\n' in metrics


def boot_actions(machine):
    text = (machine.folder / "metrics/guestos_upgrade.prom").read_text()
    return re.findall(r"^guestos_boot_action(.*)$", text, re.MULTILINE)


def test_the_metric_of_the_boot_action_has_the_labels_of_the_reference(machine, update_tar):
    machine("metrics")
    assert boot_actions(machine) == ['{successful_boot="true"} 0']
    machine("upgrade-install", update_tar)
    boot, root = machine.partition("B", "boot"), machine.partition("B", "root")
    assert boot_actions(machine) == [
        f'{{written_boot="{boot}"}} 1',
        f'{{written_root="{root}"}} 1',
        '{written_var="true"} 1',
    ]
    assert machine("upgrade-install", machine.folder / "none") != 0
    assert boot_actions(machine) == ['{successful_boot="true"} 0'], "nothing was written"
    machine("upgrade-commit")
    assert boot_actions(machine) == ['{committed="true"} 1']
    machine.boot()
    machine("metrics")
    assert boot_actions(machine) == ['{next_boot="A",version="1.2.3"} 2']
    machine("confirm")
    boot = machine.partition("B", "boot")
    assert boot_actions(machine) == [f'{{confirm_boot="{boot}",version="1.2.3"}} 1']
    machine("metrics")
    assert boot_actions(machine) == ['{successful_boot="true"} 0']


@pytest.mark.parametrize("umask", [0o022, 0o026, 0o077])
def test_metrics_are_readable_whatever_the_umask(machine, umask):
    before = os.umask(umask)
    try:
        assert machine("metrics") == 0
    finally:
        os.umask(before)
    assert (machine.folder / "metrics/guestos_upgrade.prom").stat().st_mode & 0o777 == 0o644


def test_metrics_are_in_the_text_format(machine, update_tar):
    """Judged by a parser of Prometheus."""
    machine("upgrade-install", update_tar)
    text = (machine.folder / "metrics/guestos_upgrade.prom").read_text()
    families = list(text_string_to_metric_families(text))
    assert {family.name for family in families} >= {"guestos_slot_info", "guestos_boot_action", "guestos_version"}
    assert all((family.type, bool(family.documentation)) == ("gauge", True) for family in families)
    assert all(family.samples for family in families)


def test_data_beyond_the_images_is_not_changed(machine, update_tar, update):
    before = machine.partition("B", "root").read_bytes()
    machine("upgrade-install", update_tar)
    end = update.images[1].size
    assert end < SIZES["root"]
    assert machine.partition("B", "root").read_bytes()[end:] == before[end:]


def test_holes_take_no_space(machine, update_tar):
    machine("upgrade-install", update_tar)
    status = machine.partition("B", "boot").stat()
    assert status.st_blocks * 512 < status.st_size - MIB


@pytest.mark.parametrize("arguments", [["a", "b", "c"], ["-", "b"], ["a", "--manifest=m"]])
def test_invalid_command_lines(machine, arguments, capsys):
    assert machine("upgrade-install", *arguments) == 2
    assert capsys.readouterr().err == "manageboot.sh: upgrade-install takes TAR, or BOOT_IMG and ROOT_IMG\n"
