"""The boot state: which slot boots next, and what the boot loader makes of the state when it does.

Two files of GRUB's format hold it. `grubenv` has boot_alternative (A or B) and boot_cycle, which GRUB changes as it
boots; `confirmed` has confirmed_slot, the last slot that was confirmed to work, which GRUB only reads. `decide` is the
machine; bootloader/grub/grub.cfg is the same for GRUB, and grub_state_test has the real GRUB go through all of it.

    boot_cycle      and            boots             and leaves
    stable          (1)            boot_alternative  the same
    install         (1)            boot_alternative  stable
    first_boot                     boot_alternative  failsafe_check
    failsafe_check  (2)            boot_alternative  stable: it was confirmed
    failsafe_check                 the other slot    stable, with boot_alternative the other slot
    anything else                  confirmed_slot    the same

(1) where boot_alternative is the confirmed slot, or it is not known which one that is; else it is as anything else.
(2) where boot_alternative is the confirmed slot.

So a slot that was never confirmed is booted by `first_boot` alone, once; a mixture of two states, as a write that was
cut off may leave it, is never one by which a bad slot stays.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from guestos import grubenv
from guestos.errors import GuestError, StateError

SLOTS = ("A", "B")

STABLE = "stable"
INSTALL = "install"
FIRST_BOOT = "first_boot"
FAILSAFE_CHECK = "failsafe_check"

CYCLES = (STABLE, INSTALL, FIRST_BOOT, FAILSAFE_CHECK)

FALLBACK = "fallback"
DAMAGED = "damaged"
"""Reasons for a boot, besides STABLE and FIRST_BOOT: the values of dfinity.boot_state on the kernel command line."""

DEFAULT_SLOT = "A"
"""What is booted where no file says anything."""


def other(slot: str) -> str:
    """Returns the slot that is not `slot`."""
    return "B" if slot == "A" else "A"


@dataclass(frozen=True, slots=True)
class BootState:
    """The state in grubenv and confirmed.

    Attributes:
        alternative: boot_alternative; None where that is neither A nor B.
        cycle: boot_cycle, whatever it says.
        confirmed: confirmed_slot; None where that is neither A nor B.
    """

    alternative: str | None
    cycle: str
    confirmed: str | None

    @property
    def next_slot(self) -> str:
        """The slot that GRUB boots next, as long as its files can be loaded."""
        return decide(self).slot

    def is_confirmed(self, slot: str) -> bool:
        """Whether nothing has to be written to make `slot` the confirmed one."""
        return self == BootState(slot, STABLE, slot)

    def confirm(self, slot: str) -> BootState:
        """Returns the state after the running system, in `slot`, was found to work.

        Raises:
            StateError: another system is about to be booted, or the running one is not the one that is on trial.
        """
        if self.cycle == FIRST_BOOT and self.alternative is not None:
            raise StateError(
                f"slot {self.alternative} waits for its first boot: reboot before you confirm what was never booted"
            )
        # A confirmed slot runs again only after the other one had its try, even if the boot loader could not save that.
        if self.cycle == FAILSAFE_CHECK and self.alternative == other(slot) and slot != self.confirmed:
            raise StateError(f"slot {self.alternative} is on trial, but slot {slot} runs: it cannot confirm the other")
        return BootState(slot, STABLE, slot)

    def describe(self) -> str:
        """Returns the state in words for a person."""
        if self.alternative is None or self.cycle not in CYCLES:
            return "damaged"
        text = f"{self.cycle} in slot {self.alternative}"
        return text if self.confirmed == self.alternative else f"{text} (confirmed: {self.confirmed or 'unknown'})"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the boot loader does.

    Attributes:
        slot: what it boots.
        reason: STABLE, FIRST_BOOT, FALLBACK or DAMAGED.
        after: the state that it leaves, before it boots.
    """

    slot: str
    reason: str
    after: BootState


def decide(state: BootState) -> Decision:
    """Returns what the boot loader makes of a state; the table is in the module's docstring."""
    confirmed = state.confirmed or DEFAULT_SLOT
    alternative = state.alternative
    if alternative is None:
        return Decision(confirmed, DAMAGED, state)
    known_as_good = state.confirmed == alternative
    stays = Decision(alternative, STABLE, BootState(alternative, STABLE, state.confirmed))
    if state.cycle in (STABLE, INSTALL) and (known_as_good or state.confirmed is None):
        return stays
    if state.cycle == FIRST_BOOT:
        return Decision(alternative, FIRST_BOOT, BootState(alternative, FAILSAFE_CHECK, state.confirmed))
    if state.cycle == FAILSAFE_CHECK:
        if known_as_good:
            return stays
        back = other(alternative)
        return Decision(back, FALLBACK, BootState(back, STABLE, state.confirmed))
    return Decision(confirmed, DAMAGED, state)


def read(path: str) -> BootState:
    """Returns the state in a grubenv and the file `confirmed` beside it; damage is a state, not an error."""
    variables = _variables(path)
    alternative = variables.get("boot_alternative")
    confirmed = _variables(confirmed_path(path)).get("confirmed_slot")
    return BootState(_slot(alternative), variables.get("boot_cycle", ""), _slot(confirmed))


def write(path: str, state: BootState) -> None:
    """Stores a state that has both slots; what is stored already is not written again.

    The confirmed slot goes first: what was cut off between the two is a confirmed slot all the same.

    Raises:
        GuestError: a file cannot be written.
    """
    assert state.alternative is not None
    assert state.confirmed is not None
    before = read(path)
    if state.confirmed != before.confirmed:
        grubenv.write(confirmed_path(path), {"confirmed_slot": state.confirmed})
    if (state.alternative, state.cycle) != (before.alternative, before.cycle):
        grubenv.write(path, {"boot_alternative": state.alternative, "boot_cycle": state.cycle})


def confirmed_path(path: str) -> str:
    """Returns the path of the file `confirmed` that belongs to a grubenv."""
    return os.path.join(os.path.dirname(path), "confirmed")


def _variables(path: str) -> dict[str, str]:
    try:
        return grubenv.read(path)
    except GuestError:
        return {}


def _slot(value: str | None) -> str | None:
    return value if value in SLOTS else None
