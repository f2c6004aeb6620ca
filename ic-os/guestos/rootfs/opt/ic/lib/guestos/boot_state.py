"""The boot state: which slot boots next, and what GRUB makes of the state when it does.

Two files of GRUB's format hold it. `grubenv` has boot_alternative (A or B) and boot_cycle, which GRUB changes as it
boots; `confirmed` has confirmed_slot, the last slot that was confirmed to work, which GRUB only reads, when grubenv is
damaged. bootloader/grub/grub.cfg implements the same machine, on GRUB's side.

    boot_cycle      what GRUB boots        and makes of the state
    stable          boot_alternative       (no change)
    install         boot_alternative       stable
    first_boot      boot_alternative       failsafe_check
    failsafe_check  the other slot         stable, with boot_alternative the other slot
    anything else   confirmed_slot         (no change)
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from guestos import grubenv
from guestos.errors import GuestError

SLOTS = ("A", "B")

STABLE = "stable"
INSTALL = "install"
FIRST_BOOT = "first_boot"
FAILSAFE_CHECK = "failsafe_check"
DAMAGED = "damaged"
"""Not a value that is ever stored: what a grubenv says that says nothing of the others."""

CYCLES = (STABLE, INSTALL, FIRST_BOOT, FAILSAFE_CHECK)

DEFAULT_SLOT = "A"
"""What GRUB takes where neither file can be read."""


def other(slot: str) -> str:
    """Returns the slot that is not `slot`."""
    return "B" if slot == "A" else "A"


@dataclass(frozen=True, slots=True)
class BootState:
    """The state in grubenv and confirmed.

    Attributes:
        alternative: boot_alternative; for a damaged state the confirmed slot.
        cycle: one of CYCLES, or DAMAGED.
        confirmed: confirmed_slot; None where that cannot be read.
    """

    alternative: str
    cycle: str
    confirmed: str | None

    @property
    def next_slot(self) -> str:
        """The slot that GRUB boots next, as long as its files can be loaded."""
        return other(self.alternative) if self.cycle == FAILSAFE_CHECK else self.alternative

    def after_boot(self) -> BootState:
        """Returns what GRUB leaves when it boots."""
        if self.cycle == INSTALL:
            return BootState(self.alternative, STABLE, self.confirmed)
        if self.cycle == FIRST_BOOT:
            return BootState(self.alternative, FAILSAFE_CHECK, self.confirmed)
        if self.cycle == FAILSAFE_CHECK:
            return BootState(other(self.alternative), STABLE, self.confirmed)
        return self

    def is_confirmed(self, slot: str) -> bool:
        """Whether nothing has to be written to make `slot` the confirmed one."""
        return self == BootState(slot, STABLE, slot)

    def confirm(self, slot: str) -> BootState:
        """Returns the state after the running system, in `slot`, was found to work.

        Raises:
            GuestError: another system is about to be booted, or the running one is not the one that is on trial.
        """
        if self.cycle == FIRST_BOOT:
            raise GuestError(
                f"slot {self.alternative} waits for its first boot: reboot before you confirm what was never booted"
            )
        if self.cycle == FAILSAFE_CHECK and self.alternative != slot:
            raise GuestError(f"slot {self.alternative} is on trial, but slot {slot} runs: it cannot confirm the other")
        return BootState(slot, STABLE, slot)


def read(path: str) -> BootState:
    """Returns the state in a grubenv and the file `confirmed` beside it; damage is a state, not an error."""
    confirmed = _confirmed(path)
    try:
        variables = grubenv.read(path)
    except GuestError:
        variables = {}
    alternative = variables.get("boot_alternative", "")
    cycle = variables.get("boot_cycle", "")
    if alternative not in SLOTS or cycle not in CYCLES:
        return BootState(confirmed or DEFAULT_SLOT, DAMAGED, confirmed)
    return BootState(alternative, cycle, confirmed)


def write(path: str, state: BootState) -> None:
    """Stores a state; what is stored already is not written again.

    The confirmed slot goes first: when a power cut comes between the two, grubenv still says what it said before, and
    GRUB follows it.

    Raises:
        GuestError: a file cannot be written.
    """
    before = read(path)
    if state.confirmed != before.confirmed and state.confirmed is not None:
        grubenv.write(confirmed_path(path), {"confirmed_slot": state.confirmed})
    if (state.alternative, state.cycle) != (before.alternative, before.cycle):
        grubenv.write(path, {"boot_alternative": state.alternative, "boot_cycle": state.cycle})


def confirmed_path(path: str) -> str:
    """Returns the path of the file `confirmed` that belongs to a grubenv."""
    return os.path.join(os.path.dirname(path), "confirmed")


def _confirmed(path: str) -> str | None:
    try:
        slot = grubenv.read(confirmed_path(path)).get("confirmed_slot")
    except GuestError:
        return None
    return slot if slot in SLOTS else None
