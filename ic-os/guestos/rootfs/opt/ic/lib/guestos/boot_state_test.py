import itertools

import pytest

from guestos import boot_state, grubenv
from guestos.boot_state import CYCLES, DAMAGED, FAILSAFE_CHECK, FIRST_BOOT, INSTALL, SLOTS, STABLE, BootState, other
from guestos.errors import GuestError

ALL = [
    BootState(*values) for values in itertools.product(SLOTS, (*CYCLES, DAMAGED), (*SLOTS, None))
]  # of a damaged state only those are ever read whose alternative is the confirmed slot


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "grubenv")


def store(path, state):
    grubenv.write(path, {"boot_alternative": state.alternative, "boot_cycle": state.cycle})
    if state.confirmed:
        grubenv.write(boot_state.confirmed_path(path), {"confirmed_slot": state.confirmed})


@pytest.mark.parametrize(
    ("cycle", "next_slot", "after"),
    [
        (STABLE, "A", ("A", STABLE)),
        (INSTALL, "A", ("A", STABLE)),
        (FIRST_BOOT, "A", ("A", FAILSAFE_CHECK)),
        (FAILSAFE_CHECK, "B", ("B", STABLE)),
        (DAMAGED, "A", ("A", DAMAGED)),
    ],
)
def test_what_grub_does(cycle, next_slot, after):
    for mirrored in (False, True):
        turn = other if mirrored else str
        state = BootState(turn("A"), cycle, None)
        assert state.next_slot == turn(next_slot)
        assert state.after_boot() == BootState(turn(after[0]), after[1], None)


def test_a_system_that_is_never_confirmed_gets_one_try():
    state = BootState("B", FIRST_BOOT, "A")
    booted = []
    for _ in range(4):
        booted.append(state.next_slot)
        state = state.after_boot()
    assert booted == ["B", "A", "A", "A"]


def test_a_confirmed_system_stays():
    state = BootState("B", FIRST_BOOT, "A").after_boot().confirm("B")
    assert state == BootState("B", STABLE, "B")
    assert state.after_boot().next_slot == "B"


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("slot", SLOTS)
def test_confirm_makes_the_running_slot_stable_or_refuses(state, slot):
    try:
        confirmed = state.confirm(slot)
    except GuestError:
        assert state.cycle == FIRST_BOOT or (state.cycle == FAILSAFE_CHECK and state.alternative != slot)
    else:
        assert confirmed == BootState(slot, STABLE, slot)
        assert confirmed.is_confirmed(slot)


@pytest.mark.parametrize("state", [state for state in ALL if state.cycle != DAMAGED])
def test_a_stored_state_is_read(path, state):
    store(path, state)
    assert boot_state.read(path) == state


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"boot_alternative": "A"},
        {"boot_cycle": "stable"},
        {"boot_alternative": "C", "boot_cycle": "stable"},
        {"boot_alternative": "A", "boot_cycle": "unknown"},
        {"boot_alternative": "", "boot_cycle": ""},
    ],
)
@pytest.mark.parametrize("confirmed", SLOTS)
def test_an_unknown_state_is_that_of_the_confirmed_slot(path, variables, confirmed):
    grubenv.write(path, variables)
    grubenv.write(boot_state.confirmed_path(path), {"confirmed_slot": confirmed})
    assert boot_state.read(path) == BootState(confirmed, DAMAGED, confirmed)


@pytest.mark.parametrize("length", [0, 1, 24, 25, 60, 512, 1023])
def test_a_torn_grubenv_is_a_damaged_state(path, length):
    store(path, BootState("A", STABLE, "B"))
    with open(path, "r+b") as file:
        file.truncate(length)
    assert boot_state.read(path) == BootState("B", DAMAGED, "B")


def test_without_any_file_it_is_the_slot_that_ships(path):
    assert boot_state.read(path) == BootState("A", DAMAGED, None)
    grubenv.write(boot_state.confirmed_path(path), {"confirmed_slot": "C"})
    assert boot_state.read(path).confirmed is None


def test_only_what_changes_is_written_and_the_confirmed_slot_first(path, monkeypatch):
    store(path, BootState("B", FAILSAFE_CHECK, "A"))
    written = []
    real = grubenv.write
    monkeypatch.setattr(grubenv, "write", lambda name, values: (written.append(name), real(name, values)))
    boot_state.write(path, BootState("B", STABLE, "B"))
    assert written == [boot_state.confirmed_path(path), path]
    written.clear()
    boot_state.write(path, BootState("B", STABLE, "B"))
    assert written == []


def test_a_power_cut_between_the_two_files_changes_nothing_for_grub(path):
    store(path, BootState("B", FAILSAFE_CHECK, "A"))
    grubenv.write(boot_state.confirmed_path(path), {"confirmed_slot": "B"})
    assert boot_state.read(path).next_slot == "A"
