"""Order of versions, and the lowest one that a system lets itself be replaced by.

Versions are ordered as Debian orders them (deb-version(7), "Sorting algorithm", without epoch and revision): runs of
digits by their value, all else by characters, letters before others, `~` before everything, even the end.

The floor is the higher one of two files: `version-floor.txt` in the image, and the file of that name in the config
store, where `confirm` keeps the highest that there has been. Where there is neither, any version goes.
"""

from __future__ import annotations

import os
import re

from guestos import durable
from guestos.environment import Environment
from guestos.errors import GuestError

FLOOR = "version-floor.txt"

_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_END = 0


def key(version: str) -> list[tuple[tuple[int, ...], int]]:
    """Returns what versions are compared by."""
    parts = [part.groups() for part in _PARTS.finditer(version) if part[0]]
    return [((*map(_weight, text), _END), int(digits or "0")) for text, digits in parts] + [((_END,), 0)]


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def floor(environment: Environment) -> str | None:
    """Returns the lowest version that an update may have; None for any.

    Raises:
        GuestError: a file is there and cannot be read.
    """
    found = [_read(os.path.join(folder, FLOOR)) for folder in (environment.share, environment.config)]
    return max((version for version in found if version), key=key, default=None)


def keep_floor(environment: Environment) -> None:
    """Keeps the floor in the config store, where it is lower there, or not there.

    Raises:
        GuestError: it cannot be written.
    """
    path = os.path.join(environment.config, FLOOR)
    highest = floor(environment)
    if highest is not None and highest != _read(path):
        durable.replace(path, f"{highest}\n".encode())


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}") from error
