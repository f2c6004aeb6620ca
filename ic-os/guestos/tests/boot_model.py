"""A model of the boot state that enumerates every reachable state, with power cuts in every write.

A state is the content of the disk and the slot that runs. Writes of the two files of the boot state are interrupted at
every byte, although a disk writes sectors atomically; either the head or the tail of the write may be the part that
reached the disk, and a write may be lost without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from guestos import grubenv
from guestos.boot_state import (
    CYCLES,
    FIRST_BOOT,
    INSTALL,
    SLOTS,
    STABLE,
    BootState,
    Decision,
    decide,
    other,
)
from guestos.errors import GuestError

GOOD, BAD, PARTIAL = "good", "bad", "partial"
"""The content of a slot: a system that works; a system that starts and hangs; an incomplete installation."""

MOST_BOOTS = 2
"""The number of boots after which a system that works must run: the trial of a bad one, and the next boot."""


class State(NamedTuple):
    """The state of a machine.

    Attributes:
        alternative, cycle: the values in grubenv, as the boot loader reads them; any unknown cycle is the empty text.
        confirmed: the value in the file `confirmed`.
        contents: the content of slot A and of slot B.
        running: the slot that runs; None while the machine is off.
    """

    alternative: str | None
    cycle: str
    confirmed: str | None
    contents: tuple[str, str]
    running: str | None

    def holds(self, slot: str) -> str:
        """Returns the content of a slot."""
        return self.contents[SLOTS.index(slot)]

    @property
    def boot_state(self) -> BootState:
        """The boot state."""
        return BootState(self.alternative, self.cycle, self.confirmed)


Machine = Callable[[BootState], Decision]
Confirm = Callable[[BootState, str], BootState]

SHIPPED = State("A", INSTALL, "A", (GOOD, PARTIAL), None)


def mixtures(before: dict[str, str], after: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yields every content that an interrupted or lost write may leave of an environment block."""
    old, new = grubenv.serialize(before), grubenv.serialize(after)
    yield {}  # the sector has become unreadable
    end = max(len(old.rstrip(b"#")), len(new.rstrip(b"#"))) + 1
    for cut in range(end + 1):
        yield grubenv.parse(new[:cut] + old[cut:])
        yield grubenv.parse(old[:cut] + new[cut:])


def _grubenv(state: State | BootState) -> dict[str, str]:
    return {"boot_alternative": state.alternative or "", "boot_cycle": state.cycle}


def _slot(value: str | None) -> str | None:
    return value if value in SLOTS else None


def _cut_grubenv(state: State, after: BootState) -> Iterator[State]:
    """Yields the states after a power cut during the write of grubenv."""
    for found in mixtures(_grubenv(state), _grubenv(after)):
        cycle = found.get("boot_cycle", "")
        yield state._replace(
            alternative=_slot(found.get("boot_alternative")), cycle=cycle if cycle in CYCLES else "", running=None
        )


def _cut_confirmed(state: State, slot: str) -> Iterator[State]:
    for found in mixtures({"confirmed_slot": state.confirmed or ""}, {"confirmed_slot": slot}):
        yield state._replace(confirmed=_slot(found.get("confirmed_slot")), running=None)


def power_on(state: State, machine: Machine = decide) -> State:
    """Returns the state after a machine was switched on and its boot loader has started a slot."""
    decision = machine(state.boot_state)
    after = decision.after
    slot = decision.slot
    if state.holds(slot) == PARTIAL:
        # The slot cannot be loaded, so GRUB starts the other one (start_slot in bootloader/grub/grub.cfg).
        if decision.reason == FIRST_BOOT:
            after = BootState(other(slot), STABLE, state.confirmed)
        slot = other(slot)
    running = slot if state.holds(slot) != PARTIAL else None
    return state._replace(alternative=after.alternative, cycle=after.cycle, running=running)


def steps(state: State, machine: Machine = decide, confirm: Confirm = BootState.confirm) -> Iterator[State]:
    """Yields all states that may follow a state, power cuts included."""
    if state.running is None:
        on = power_on(state, machine)
        yield on
        if on.boot_state != state.boot_state:
            yield from _cut_grubenv(state, on.boot_state)
        yield state._replace(running=on.running)  # the write of the boot loader was lost
        return
    yield state._replace(running=None)
    if state.holds(state.running) == GOOD:
        yield from _confirm(state, state.running, confirm)
        if state.boot_state.is_confirmed(state.running):
            yield from _upgrade(state, other(state.running))


def _confirm(state: State, slot: str, confirm: Confirm) -> Iterator[State]:
    try:
        after = confirm(state.boot_state, slot)
    except GuestError:
        return
    # A file that has the wanted content already is not written.
    if state.confirmed != after.confirmed:
        yield from _cut_confirmed(state, slot)
    between = state._replace(confirmed=after.confirmed)
    if (state.alternative, state.cycle) != (after.alternative, after.cycle):
        yield from _cut_grubenv(between, after)
    yield state._replace(alternative=after.alternative, cycle=after.cycle, confirmed=after.confirmed)


def _upgrade(state: State, slot: str) -> Iterator[State]:
    for content in (PARTIAL, GOOD, BAD):
        contents = (content, state.contents[1]) if slot == "A" else (state.contents[0], content)
        yield state._replace(contents=contents)
    if state.holds(slot) != PARTIAL:
        after = BootState(slot, FIRST_BOOT, state.confirmed)
        yield from _cut_grubenv(state, after)
        yield state._replace(alternative=slot, cycle=FIRST_BOOT)


def reachable(
    start: State = SHIPPED, machine: Machine = decide, confirm: Confirm = BootState.confirm
) -> tuple[set[State], int]:
    """Returns all states that are reachable from a state, and the number of steps that were tried."""
    found = {start}
    left = [start]
    tried = 0
    while left:
        for state in steps(left.pop(), machine, confirm):
            tried += 1
            if state not in found:
                found.add(state)
                left.append(state)
    return found, tried


def is_brick(state: State, machine: Machine = decide) -> bool:
    """Returns whether a machine, with a reset after each hang, fails to reach a good system and to keep booting it."""
    state = state._replace(running=None)
    slots = []
    for _ in range(MOST_BOOTS + 3):
        state = power_on(state, machine)
        slots.append(state.running is not None and state.holds(state.running) == GOOD)
        state = state._replace(running=None)
    return not all(slots[MOST_BOOTS - 1 :])
