"""What was booted: the initial RAM file system says so in /run/guestos/boot, one KEY=value a line."""

from __future__ import annotations

from dataclasses import dataclass

from guestos.boot_state import SLOTS
from guestos.errors import GuestError


@dataclass(frozen=True, slots=True)
class Booted:
    """What was booted.

    Attributes:
        slot: A or B.
        disk: the kernel's name of the disk.
        root_hash: the root hash of the root's integrity tree.
    """

    slot: str
    disk: str
    root_hash: str


def read(path: str) -> Booted:
    """Returns what was booted.

    Raises:
        GuestError: the file is not there, or not as the initial RAM file system writes it.
    """
    try:
        with open(path, encoding="ascii") as file:
            values = dict(line.rstrip("\n").partition("=")[::2] for line in file)
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}; it is there only in a system that was booted") from error
    try:
        booted = Booted(values["SLOT"], values["DISK"], values["ROOT_HASH"])
    except KeyError as error:
        raise GuestError(f"{path}: has no line {error.args[0]}=") from error
    if booted.slot not in SLOTS:
        raise GuestError(f"{path}: SLOT={booted.slot} is neither A nor B")
    return booted
