import itertools

import pytest

from guestos import boot_state, grubenv
from guestos.boot_state import (
    CYCLES,
    DAMAGED,
    FAILSAFE_CHECK,
    FALLBACK,
    FIRST_BOOT,
    INSTALL,
    SLOTS,
    STABLE,
    BootState,
    decide,
    other,
)
from guestos.errors import StateError

ALL = [BootState(*values) for values in itertools.product((*SLOTS, None), (*CYCLES, ""), (*SLOTS, None))]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "grubenv")


def store(path, state):
    variables = {"boot_alternative": state.alternative or "", "boot_cycle": state.cycle}
    grubenv.write(path, variables)
    grubenv.write(boot_state.confirmed_path(path), {"confirmed_slot": state.confirmed or ""})


@pytest.mark.parametrize(
    ("state", "slot", "reason", "after"),
    [
        (("A", STABLE, "A"), "A", STABLE, ("A", STABLE)),
        (("A", STABLE, None), "A", STABLE, ("A", STABLE)),
        (("A", STABLE, "B"), "B", DAMAGED, ("A", STABLE)),
        (("A", INSTALL, "A"), "A", STABLE, ("A", STABLE)),
        (("A", INSTALL, None), "A", STABLE, ("A", STABLE)),
        (("A", INSTALL, "B"), "B", DAMAGED, ("A", INSTALL)),
        (("A", FIRST_BOOT, "B"), "A", FIRST_BOOT, ("A", FAILSAFE_CHECK)),
        (("A", FIRST_BOOT, "A"), "A", FIRST_BOOT, ("A", FAILSAFE_CHECK)),
        (("A", FIRST_BOOT, None), "A", FIRST_BOOT, ("A", FAILSAFE_CHECK)),
        (("A", FAILSAFE_CHECK, "B"), "B", FALLBACK, ("B", STABLE)),
        (("A", FAILSAFE_CHECK, None), "B", FALLBACK, ("B", STABLE)),
        (("A", FAILSAFE_CHECK, "A"), "A", STABLE, ("A", STABLE)),
        (("A", "", "A"), "A", DAMAGED, ("A", "")),
        (("A", "", "B"), "B", DAMAGED, ("A", "")),
        ((None, STABLE, "B"), "B", DAMAGED, (None, STABLE)),
        ((None, FAILSAFE_CHECK, "A"), "A", DAMAGED, (None, FAILSAFE_CHECK)),
    ],
)
def test_what_grub_does(state, slot, reason, after):
    for mirrored in (False, True):

        def turn(name, mirrored=mirrored):
            return other(name) if mirrored and name else name

        state_ = BootState(turn(state[0]), state[1], turn(state[2]))
        decision = decide(state_)
        assert (decision.slot, decision.reason) == (turn(slot), reason)
        assert decision.after == BootState(turn(after[0]), after[1], turn(state[2]))
        assert state_.next_slot == turn(slot)


def test_without_a_known_slot_the_default_slot_is_booted():
    assert decide(BootState(None, "", None)).slot == "A"
    assert decide(BootState("B", "", None)).slot == "A"


@pytest.mark.parametrize("state", [state for state in ALL if state.confirmed])
def test_an_unconfirmed_slot_is_booted_at_most_once(state):
    confirmed = state.confirmed
    booted = []
    for _ in range(5):
        decision = decide(state)
        booted.append(decision.slot)
        state = decision.after
    assert booted.count(other(confirmed)) <= 1
    assert set(booted[1:]) == {confirmed}


def test_a_confirmed_system_is_booted_again():
    state = decide(BootState("B", FIRST_BOOT, "A")).after.confirm("B")
    assert state == BootState("B", STABLE, "B")
    assert decide(state).after.next_slot == "B"


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("slot", SLOTS)
def test_confirm_makes_the_running_slot_stable_or_refuses(state, slot):
    try:
        confirmed = state.confirm(slot)
    except StateError:
        on_trial = state.cycle == FAILSAFE_CHECK and state.alternative == other(slot) and state.confirmed != slot
        assert state.cycle == FIRST_BOOT or on_trial
    else:
        assert confirmed == BootState(slot, STABLE, slot)
        assert confirmed.is_confirmed(slot)


@pytest.mark.parametrize("state", ALL)
def test_a_stored_state_is_read_back(path, state):
    store(path, state)
    assert boot_state.read(path) == state


@pytest.mark.parametrize("length", [0, 1, 24, 25, 60, 512, 1023])
def test_a_truncated_grubenv_counts_as_damaged(path, length):
    store(path, BootState("A", STABLE, "B"))
    with open(path, "r+b") as file:
        file.truncate(length)
    assert boot_state.read(path) == BootState(None, "", "B")
    assert boot_state.read(path).describe() == "damaged"


def test_missing_files_give_an_unknown_state(path):
    assert boot_state.read(path) == BootState(None, "", None)
    grubenv.write(boot_state.confirmed_path(path), {"confirmed_slot": "C"})
    assert boot_state.read(path).confirmed is None


def test_only_changed_files_are_written_and_the_confirmed_slot_first(path, monkeypatch):
    store(path, BootState("B", FAILSAFE_CHECK, "A"))
    written = []
    real = grubenv.write
    monkeypatch.setattr(grubenv, "write", lambda name, values: (written.append(name), real(name, values)))
    boot_state.write(path, BootState("B", STABLE, "B"))
    assert written == [boot_state.confirmed_path(path), path]
    written.clear()
    boot_state.write(path, BootState("B", STABLE, "B"))
    assert written == []


def test_a_power_cut_between_the_two_writes_leaves_the_slot_confirmed():
    assert decide(BootState("B", FAILSAFE_CHECK, "B")).slot == "B"
