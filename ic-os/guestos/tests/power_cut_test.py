"""Power cuts at every write of an upgrade, combined with the loss of writes that were not fsynced."""

import hashlib
import shutil
from collections import Counter

import pytest
from file_machine import FileMachine, both_modes
from guestos.boot_state import FIRST_BOOT, STABLE, BootState, decide
from power_cut import PHASES, Cut, copy_disk, cuts, disk_files, holds_whole, record_upgrade, replay


@pytest.fixture
def recorded(machine, update_tar, tmp_path):
    """A complete upgrade: a copy of the disk from before it, and the events on the disk."""
    before = tmp_path / "before"
    before.mkdir()
    return before, record_upgrade(machine, update_tar, before)


class Inspector:
    """Checks a machine's disk after a power cut."""

    def __init__(self, machine, update, update_tar):
        self.machine = machine
        self.update = update
        self.update_tar = update_tar
        self.seen = {}

    def verdict(self):
        """Returns what is wrong with the disk; the empty text if nothing is."""
        digest = hashlib.sha256()
        for path in disk_files(self.machine.folder):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
        key = digest.digest()
        if key not in self.seen:
            self.seen[key] = self._boots() or self._retry()
        return self.seen[key]

    def _boots(self):
        first = self.machine.boot()
        if first.slot == "B" and not holds_whole(self.machine, "B", self.update):
            return "an incomplete slot is booted"
        confirmed = self.machine.read_state().is_confirmed("B")
        second = decide(self.machine.read_state())
        if second.slot == "B" and not (confirmed or self.machine.read_state().confirmed == "B"):
            return "an unconfirmed system is booted again"
        return ""

    def _retry(self):
        decision = self.machine.boot()
        if self.machine("confirm") != 0:
            return "the running system cannot be confirmed"
        if decision.slot == "B":
            return ""
        for action in (("upgrade-install", self.update_tar), ("upgrade-commit",)):
            if self.machine(*action) != 0:
                return f"{action[0]} fails after the power cut"
        if self.machine.boot().slot != "B" or self.machine("confirm") != 0 or self.machine.boot().slot != "B":
            return "the retry does not lead to the new system"
        return ""


@pytest.fixture
def inspector(keys, trust, update, update_tar, tmp_path):
    machine = FileMachine(tmp_path / "after", trust=trust)
    shutil.copy(keys / "test.pem", machine.folder / "share/update-keys")
    return Inspector(machine, update, update_tar)


def verdicts(recorded, inspector, machine, phases=PHASES):
    """Returns the number of power cuts by phase and verdict."""
    before, events = recorded
    found = Counter()
    for cut in cuts(events):
        if cut.done and events[cut.done - 1].label not in phases:
            continue
        copy_disk(before, inspector.machine.folder)
        inspector.machine.runs("A")
        replay(events, cut, machine.folder, inspector.machine.folder)
        label = events[cut.done - 1].label if cut.done else PHASES[0]
        found[label, inspector.verdict()] += 1
    return found


@both_modes
def test_21_28_31_38_power_cuts(recorded, inspector, machine, capsys):
    found = verdicts(recorded, inspector, machine)
    wrong = {key: count for key, count in found.items() if key[1]}
    assert wrong == {}
    assert {label for label, _ in found} == set(PHASES)
    with capsys.disabled():
        phases = ", ".join(f"{label} {found[label, '']}" for label in PHASES)
        total = sum(found.values())
        print(f"\n{total} power cuts ({phases}), {len(inspector.seen)} distinct disks, {len(wrong)} bricks")


@both_modes
def test_38_a_confirmed_slot_stays_confirmed(recorded, inspector, machine):
    """A power cut after confirm has returned loses nothing."""
    before, events = recorded
    for cut in cuts(events):
        if cut.done == len(events):
            copy_disk(before, inspector.machine.folder)
            replay(events, cut, machine.folder, inspector.machine.folder)
            assert inspector.machine.read_state() == BootState("B", STABLE, "B")


@both_modes
def test_46_a_confirmed_system_has_raised_the_rollback_floor(machine, update, inspector, tmp_path):
    """After a power cut at any write, `confirm` in the new system leaves its rollback index as the floor."""
    before = tmp_path / "before"
    before.mkdir()
    for each in (machine, inspector.machine):
        (each.folder / "share/rollback-index.txt").write_text("7\n")
    events = record_upgrade(machine, update.but(rollback_index=7).write(tmp_path / "indexed"), before)
    floor = inspector.machine.folder / "config/rollback-index.txt"
    found = Counter()
    for cut in cuts(events):
        if not cut.done or events[cut.done - 1].label != "confirm":
            continue
        copy_disk(before, inspector.machine.folder)
        inspector.machine.runs("B", FIRST_BOOT)
        replay(events, cut, machine.folder, inspector.machine.folder)
        slot = inspector.machine.boot().slot
        if slot == "B":
            assert inspector.machine("confirm") == 0
        assert (slot, floor.exists() and floor.read_text()) in {("A", False), ("B", "7\n")}
        found[slot] += 1
    assert found["A"]
    assert found["B"]


def test_the_slot_that_runs_is_never_written(recorded):
    assert not [event for event in recorded[1] if "/dev/A_" in event.path]


def test_the_slot_record_is_fsynced_before_the_first_write(recorded):
    """The record is on the disk before a partition is written, and var is wiped first."""
    _, events = recorded
    written = [event for event in events if "/dev/B_" in event.path and event.kind in ("write", "punch")]
    first = events.index(written[0])
    record = [event for event in events[:first] if event.kind == "sync" and event.path.endswith("config/slots")]
    assert record
    assert written[0].path.endswith("B_var")
    assert events[first + 1].kind == "sync"


# --- the checks find deliberate defects


def test_a_boot_state_that_is_not_fsynced_is_found(recorded, machine, inspector):
    """A power cut after confirm has returned loses the confirmation."""
    before, events = recorded
    events = [event for event in events if not (event.kind == "sync" and "/grub/" in event.path)]
    lost = []
    for cut in cuts(events):
        if cut.done == len(events):
            copy_disk(before, inspector.machine.folder)
            replay(events, cut, machine.folder, inspector.machine.folder)
            lost.append(inspector.machine.read_state() != BootState("B", STABLE, "B"))
    assert any(lost)


def test_data_that_is_not_fsynced_is_found(recorded, inspector, machine):
    before, events = recorded
    events = [event for event in events if not (event.kind == "sync" and "/dev/B_root" in event.path)]
    assert ("commit", "an incomplete slot is booted") in verdicts((before, events), inspector, machine, ["commit"])


def test_a_commit_before_the_end_of_the_installation_is_found(recorded, inspector, machine):
    """The boot state is written before all of root is."""
    before, events = recorded
    commit = [event for event in events if event.label == "commit" and "/grub/" in event.path]
    at = next(index for index, event in enumerate(events) if event.path.endswith("B_root"))
    early = events[:at] + commit
    assert ("commit", "an incomplete slot is booted") in verdicts((before, early), inspector, machine, ["commit"])


def test_the_recorder_misses_no_write(recorded, machine):
    """The replay of all events gives the disk of the recorded machine."""
    before, events = recorded
    replay(events, Cut(len(events)), machine.folder, before)
    for path in disk_files(machine.folder):
        assert (before / path.relative_to(machine.folder)).read_bytes() == path.read_bytes(), path
