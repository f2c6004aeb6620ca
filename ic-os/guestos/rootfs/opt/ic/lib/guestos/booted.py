"""Reads /run/guestos/boot, in which the initramfs records the booted slot and disk, one KEY=value per line."""

from __future__ import annotations

from dataclasses import dataclass

from guestos.boot_state import SLOTS
from guestos.errors import GuestError

DISTRIBUTION = "distribution"
OWN_KEYS = "own_keys"
"""Modes of trust: the boot loader of the distribution, or one that starts only what the product's own key signed."""


@dataclass(frozen=True, slots=True)
class Booted:
    """What was booted.

    Attributes:
        slot: A or B.
        disk: the kernel's name of the disk, such as vda.
        root_hash: the root hash of the root partition, in hex.
        reason: why the boot loader chose the slot; doc/Boot.adoc lists the values. The state for the next boot is
            `boot_state.read`.
        trust: the mode of trust, DISTRIBUTION or OWN_KEYS.
    """

    slot: str
    disk: str
    root_hash: str
    reason: str
    trust: str


def read(path: str) -> Booted:
    """Returns what was booted.

    Raises:
        GuestError: the file is missing, or has not the format that the initramfs writes.
    """
    try:
        with open(path, encoding="ascii") as file:
            values = dict(line.rstrip("\n").partition("=")[::2] for line in file)
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}; it exists only in a booted system") from error
    try:
        booted = Booted(*(values[key] for key in ("SLOT", "DISK", "ROOT_HASH", "BOOT_STATE", "TRUST")))
    except KeyError as error:
        raise GuestError(f"{path}: the line {error.args[0]}= is missing") from error
    if booted.slot not in SLOTS:
        raise GuestError(f"{path}: SLOT={booted.slot} is neither A nor B")
    return booted
