"""The boot state: which slot boots next, and how the boot loader changes the state when it boots.

The state is in two GRUB environment blocks. `grubenv` has boot_alternative (A or B) and boot_cycle, which GRUB changes
as it boots; `confirmed` has confirmed_slot, the slot that was confirmed last, which GRUB only reads. `decide` is the
state machine. bootloader/grub/grub.cfg implements the same one; grub_state_test compares GRUB with it in every state.

    boot_cycle      condition      boots             next state
    stable          (1)            boot_alternative  unchanged
    install         (1)            boot_alternative  stable
    first_boot                     boot_alternative  failsafe_check
    failsafe_check  (2)            boot_alternative  stable: it was confirmed
    failsafe_check  not (2)        the other slot    stable, boot_alternative is the other slot
    anything else                  confirmed_slot    unchanged

(1) boot_alternative is the confirmed slot, or the confirmed slot is unknown. If not, the last row applies.
(2) boot_alternative is the confirmed slot.

So only `first_boot` boots a slot that was not confirmed, and only once. An interrupted write may leave a mixture of two
states; in none of these mixtures does an unconfirmed slot become the one that is booted permanently.
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
"""Boot reasons, besides STABLE and FIRST_BOOT: the values of dfinity.boot_state on the kernel command line."""

DEFAULT_SLOT = "A"
"""The slot that is booted if neither file can be read."""


def other(slot: str) -> str:
    """Returns the slot that is not `slot`."""
    return "B" if slot == "A" else "A"


@dataclass(frozen=True, slots=True)
class BootState:
    """The state in the files grubenv and confirmed.

    Attributes:
        alternative: boot_alternative; None if it is neither A nor B.
        cycle: boot_cycle, which may be any text; empty if it is missing.
        confirmed: confirmed_slot; None if it is neither A nor B.
    """

    alternative: str | None
    cycle: str
    confirmed: str | None

    @property
    def next_slot(self) -> str:
        """The slot that GRUB boots next, provided that its kernel and initramfs can be loaded."""
        return decide(self).slot

    def is_confirmed(self, slot: str) -> bool:
        """Returns whether `slot` is the confirmed slot and boots next, so that `confirm` has nothing to write."""
        return self == BootState(slot, STABLE, slot)

    def confirm(self, slot: str) -> BootState:
        """Returns the state in which the running system, in `slot`, is the confirmed one.

        Raises:
            StateError: another slot waits for its first boot, or the other slot is the one that is on trial.
        """
        if self.cycle == FIRST_BOOT and self.alternative is not None:
            raise StateError(
                f"slot {self.alternative} waits for its first boot: reboot before you confirm what was never booted"
            )
        # The confirmed slot runs in this state only after the trial of the other one, even if GRUB could not save that.
        if self.cycle == FAILSAFE_CHECK and self.alternative == other(slot) and slot != self.confirmed:
            raise StateError(
                f"slot {self.alternative} is on trial, but slot {slot} runs; a system can only confirm its own slot"
            )
        return BootState(slot, STABLE, slot)

    def describe(self) -> str:
        """Returns the state in words, for messages."""
        if self.alternative is None or self.cycle not in CYCLES:
            return "damaged"
        text = f"{self.cycle} in slot {self.alternative}"
        return text if self.confirmed == self.alternative else f"{text} (confirmed: {self.confirmed or 'unknown'})"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the boot loader does in a state.

    Attributes:
        slot: the slot that it boots.
        reason: STABLE, FIRST_BOOT, FALLBACK or DAMAGED.
        after: the state that it saves before it boots the slot.
    """

    slot: str
    reason: str
    after: BootState


def decide(state: BootState) -> Decision:
    """Returns what the boot loader does in a state, by the table in the module's docstring."""
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
    """Reads a grubenv and the file `confirmed` beside it, and returns the state.

    A file that is missing or damaged is not an error: its values are None or empty.
    """
    variables = _variables(path)
    alternative = variables.get("boot_alternative")
    confirmed = _variables(confirmed_path(path)).get("confirmed_slot")
    return BootState(_slot(alternative), variables.get("boot_cycle", ""), _slot(confirmed))


def write(path: str, state: BootState) -> None:
    """Writes a state whose slots are both known; files that have the wanted values already are not written.

    The confirmed slot is written first: if the power fails between the two writes, the slot is confirmed all the same.

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
