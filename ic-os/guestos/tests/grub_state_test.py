"""The boot loader (firmware, shim and GRUB) behaves like boot_state.decide in every state."""

import itertools
import os
from pathlib import Path

import pytest
from guestos import boot_state, grubenv
from guestos.boot_state import CYCLES, DAMAGED, FAILSAFE_CHECK, FALLBACK, FIRST_BOOT, INSTALL, STABLE, BootState, decide
from loader_machine import Booted, find_loader

BUILT = Path(os.environ.get("TEST_SRCDIR", Path(__file__).parents[3]), os.environ.get("TEST_WORKSPACE", ""))
STATES = [
    BootState(*values)
    for values in (
        *itertools.product("B", (*CYCLES, "nonsense"), ("A", "B", None)),
        *itertools.product("A", (STABLE, FIRST_BOOT, FAILSAFE_CHECK), "AB"),
        *itertools.product((None,), (STABLE, FAILSAFE_CHECK), ("A", "B", None)),
    )
]
"""States for every row of the table, with both slots in every role."""


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    loader = find_loader(BUILT)
    return lambda **options: loader(tmp_path_factory.mktemp("machine"), **options)


@pytest.fixture(scope="module")
def machine(make):
    with make() as machine:
        yield machine


def read(machine):
    """Returns the boot state on the machine's disk, as the system reads it."""
    for name in ("grubenv", "confirmed"):
        (machine.folder / name).write_bytes(machine.stored(name))
    return boot_state.read(str(machine.folder / "grubenv"))


@pytest.mark.parametrize("state", STATES, ids=lambda state: f"{state.alternative}-{state.cycle}-{state.confirmed}")
def test_grub_behaves_as_in_the_table(machine, state):
    machine.put_state(state.alternative, state.cycle, state.confirmed)
    decision = decide(state)
    assert machine.boot() == Booted(decision.slot, decision.reason)
    assert read(machine) == decision.after


@pytest.mark.parametrize("confirmed", ["A", "B"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# GRUB",
        b"#" * 1024,
        bytes(1024),
        b"# GRUB Environment Block\nboot_alternative=$(reboot)\nboot_cycle=`reboot`; reboot\n".ljust(1024, b"#"),
        b"# GRUB Environment Block\nboot_alternative=A B\nboot_cycle=stable -o A = A\n".ljust(1024, b"#"),
    ],
    ids=["empty", "short", "padding", "zeros", "shell", "test"],
)
def test_32_33_damage_leads_to_the_confirmed_slot(machine, data, confirmed):
    machine.put({"grubenv": data, "confirmed": grubenv.serialize({"confirmed_slot": confirmed})})
    assert machine.boot() == Booted(confirmed, DAMAGED)


def test_42_a_machine_without_the_file_confirmed(machine):
    for slot in "AB":
        machine.put({"grubenv": grubenv.serialize({"boot_alternative": slot, "boot_cycle": STABLE})})
        assert machine.boot() == Booted(slot, STABLE)
    machine.put({})
    assert machine.boot() == Booted("A", DAMAGED)


def test_the_kernel_command_line_has_slot_and_reason(machine):
    machine.put_state("B", FIRST_BOOT, "A")
    assert machine.boot() == Booted("B", FIRST_BOOT)
    machine.expect(r"Command line: \S+ dfinity\.system=B dfinity\.boot_state=first_boot .* panic=10\b")


def test_an_upgrade_that_is_not_confirmed(machine):
    machine.put_state("A", INSTALL, "A")
    assert machine.boot() == Booted("A", STABLE)
    machine.put_state("B", FIRST_BOOT, "A")
    booted = [machine.boot() for _ in range(3)]
    assert booted == [Booted("B", FIRST_BOOT), Booted("A", FALLBACK), Booted("A", STABLE)]


def test_34_a_missing_kernel_ends_the_trial(make):
    with make(bootable="A") as machine:
        machine.put_state("B", FIRST_BOOT, "A")
        assert machine.boot() == Booted("A", FALLBACK)
        assert read(machine) == BootState("A", STABLE, "A")
        assert machine.boot() == Booted("A", STABLE)
        machine.put_state("B", STABLE, "B")
        assert machine.boot() == Booted("A", FALLBACK), "slot A is the only one that can be loaded"


def test_35_a_kernel_panic_ends_the_trial(machine):
    """There is no root partition: the initramfs exits, the kernel panics, and resets the machine."""
    machine.put_state("B", FIRST_BOOT, "A")
    assert machine.boot() == Booted("B", FIRST_BOOT)
    assert machine.wait_boot() == Booted("A", FALLBACK)


def test_41_neither_slot_can_be_loaded(make):
    with make(bootable="") as machine:
        machine.put_state("B", FIRST_BOOT, "A")
        machine.start()
        for _ in range(2):
            machine.expect(r"Neither slot can be started\. Rebooting in 30 seconds\.")
        assert read(machine) == BootState("A", STABLE, "A")


def test_44_there_is_no_trial_if_the_state_cannot_be_saved(make):
    with make(read_only=True) as machine:
        machine.put_state("B", FIRST_BOOT, "A")
        assert machine.boot() == Booted("A", FALLBACK)
        assert read(machine) == BootState("B", FIRST_BOOT, "A")
