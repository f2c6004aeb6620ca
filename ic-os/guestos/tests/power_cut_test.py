"""The power is cut at every write of an upgrade, with every single write lost that was not synchronised yet."""

import hashlib
import shutil
from collections import Counter

import pytest
from file_machine import FileMachine
from guestos.boot_state import STABLE, BootState, decide
from power_cut import PHASES, Cut, copy_disk, cuts, disk_files, holds_whole, record_upgrade, replay


@pytest.fixture
def recorded(machine, update_tar, tmp_path):
    """A whole upgrade: the disk as it was before, and what was done to it."""
    before = tmp_path / "before"
    before.mkdir()
    return before, record_upgrade(machine, update_tar, before)


class Judge:
    """Looks at a disk after a power cut."""

    def __init__(self, machine, update, update_tar):
        self.machine = machine
        self.update = update
        self.update_tar = update_tar
        self.seen = {}

    def verdict(self):
        """Returns what is wrong with the disk, or an empty text."""
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
            return "boots what is not whole"
        confirmed = self.machine.read_state().is_confirmed("B")
        second = decide(self.machine.read_state())
        if second.slot == "B" and not (confirmed or self.machine.read_state().confirmed == "B"):
            return "a new system that nobody confirmed is booted again"
        return ""

    def _retry(self):
        decision = self.machine.boot()
        if self.machine("confirm") != 0:
            return "the system that runs cannot be confirmed"
        if decision.slot == "B":
            return ""
        for action in (("upgrade-install", self.update_tar), ("upgrade-commit",)):
            if self.machine(*action) != 0:
                return f"{action[0]} fails afterwards"
        if self.machine.boot().slot != "B" or self.machine("confirm") != 0 or self.machine.boot().slot != "B":
            return "the retry does not lead to the new system"
        return ""


@pytest.fixture
def judge(keys, update, update_tar, tmp_path):
    machine = FileMachine(tmp_path / "after")
    shutil.copy(keys / "test.pem", machine.folder / "share/update-keys")
    return Judge(machine, update, update_tar)


def verdicts(recorded, judge, machine, phases=PHASES):
    """Returns the verdict after each power cut, by the phase in which it comes."""
    before, events = recorded
    found = Counter()
    for cut in cuts(events):
        if cut.done and events[cut.done - 1].label not in phases:
            continue
        copy_disk(before, judge.machine.folder)
        judge.machine.runs("A")
        replay(events, cut, machine.folder, judge.machine.folder)
        label = events[cut.done - 1].label if cut.done else PHASES[0]
        found[label, judge.verdict()] += 1
    return found


def test_21_28_31_38_power_cuts(recorded, judge, machine, capsys):
    found = verdicts(recorded, judge, machine)
    wrong = {key: count for key, count in found.items() if key[1]}
    assert wrong == {}
    assert {label for label, _ in found} == set(PHASES)
    with capsys.disabled():
        phases = ", ".join(f"{label} {found[label, '']}" for label in PHASES)
        total = sum(found.values())
        print(f"\n{total} power cuts ({phases}), {len(judge.seen)} distinct disks, {len(wrong)} bricks")


def test_38_what_was_confirmed_stays(recorded, judge, machine):
    """After confirm has returned nothing can be lost."""
    before, events = recorded
    for cut in cuts(events):
        if cut.done == len(events):
            copy_disk(before, judge.machine.folder)
            replay(events, cut, machine.folder, judge.machine.folder)
            assert judge.machine.read_state() == BootState("B", STABLE, "B")


def test_the_slot_that_runs_is_never_written(recorded):
    assert not [event for event in recorded[1] if "/dev/A_" in event.path]


def test_the_note_comes_before_the_first_write(recorded):
    """It is on the disk before a partition is touched, and var is wiped before all else."""
    _, events = recorded
    written = [event for event in events if "/dev/B_" in event.path and event.kind in ("write", "punch")]
    first = events.index(written[0])
    note = [event for event in events[:first] if event.kind == "sync" and event.path.endswith("config/slots")]
    assert note
    assert written[0].path.endswith("B_var")
    assert events[first + 1].kind == "sync"


# --- with the defects that this is there to find


def test_a_boot_state_that_is_not_synchronised_is_found(recorded, machine, judge):
    """Confirm returns, the power goes, and what was confirmed is gone."""
    before, events = recorded
    events = [event for event in events if not (event.kind == "sync" and "/grub/" in event.path)]
    lost = []
    for cut in cuts(events):
        if cut.done == len(events):
            copy_disk(before, judge.machine.folder)
            replay(events, cut, machine.folder, judge.machine.folder)
            lost.append(judge.machine.read_state() != BootState("B", STABLE, "B"))
    assert any(lost)


def test_data_that_are_not_synchronised_are_found(recorded, judge, machine):
    before, events = recorded
    events = [event for event in events if not (event.kind == "sync" and "/dev/B_root" in event.path)]
    assert ("commit", "boots what is not whole") in verdicts((before, events), judge, machine, ["commit"])


def test_a_slot_that_is_taken_for_whole_too_early_is_found(recorded, judge, machine):
    """The boot state is written before the installation is done."""
    before, events = recorded
    commit = [event for event in events if event.label == "commit" and "/grub/" in event.path]
    at = next(index for index, event in enumerate(events) if event.path.endswith("B_root"))
    early = events[:at] + commit
    assert ("commit", "boots what is not whole") in verdicts((before, early), judge, machine, ["commit"])


def test_the_recorder_sees_all(recorded, machine):
    """Replayed in full, the events make the disk that was recorded."""
    before, events = recorded
    replay(events, Cut(len(events)), machine.folder, before)
    for path in disk_files(machine.folder):
        assert (before / path.relative_to(machine.folder)).read_bytes() == path.read_bytes(), path
