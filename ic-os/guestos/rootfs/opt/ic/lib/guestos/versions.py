"""The order of versions, and the version floor: the lowest version that a machine upgrades to.

Versions are ordered as Debian orders them (deb-version(7), "Sorting algorithm", without epoch and revision): runs of
digits by their value, all else by characters, letters before others, `~` before everything, even the end.

The floor is the higher one of two versions: that in `version-floor.txt` of the image, and that in the file of the same
name in the config store, where `confirm` saves the highest floor of all confirmed images. Without both, there is none.
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


def key(version: str) -> list[tuple[tuple[int, ...], tuple[int, str]]]:
    """Returns a sort key for a version."""
    parts = [part.groups() for part in _PARTS.finditer(version) if part[0]]
    return [((*map(_weight, text), _END), _value(digits)) for text, digits in parts] + [((_END,), _value(""))]


def _value(digits: str) -> tuple[int, str]:
    """Returns a sort key for a number of any length; int() refuses one of more than 4300 digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def floor(environment: Environment) -> str | None:
    """Returns the lowest version that an update may have; None if there is no limit.

    Raises:
        GuestError: a file exists but cannot be read.
    """
    found = [_read(os.path.join(folder, FLOOR)) for folder in (environment.share, environment.config)]
    return max((version for version in found if version), key=key, default=None)


def keep_floor(environment: Environment) -> None:
    """Saves the floor in the config store, if it is higher than the one there.

    Raises:
        GuestError: a file cannot be read or written.
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
