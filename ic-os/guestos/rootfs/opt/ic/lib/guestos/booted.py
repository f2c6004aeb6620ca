"""Reads /run/guestos/boot, in which the initramfs records the booted slot and disk, one KEY=value per line."""

from __future__ import annotations

from dataclasses import dataclass

from guestos.boot_state import SLOTS
from guestos.errors import GuestError


@dataclass(frozen=True, slots=True)
class Booted:
    """What was booted.

    Attributes:
        slot: A or B.
        disk: the kernel's name of the disk, such as vda.
        root_hash: the root hash of the root partition, in hex.
    """

    slot: str
    disk: str
    root_hash: str


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
        booted = Booted(values["SLOT"], values["DISK"], values["ROOT_HASH"])
    except KeyError as error:
        raise GuestError(f"{path}: the line {error.args[0]}= is missing") from error
    if booted.slot not in SLOTS:
        raise GuestError(f"{path}: SLOT={booted.slot} is neither A nor B")
    return booted
