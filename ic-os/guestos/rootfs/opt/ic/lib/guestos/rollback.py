"""The rollback index: a number in everything that is signed, below which a machine does not go back.

A release that mends a flaw is built with a higher index than the releases that have it. A machine then refuses to
install those, even though their signatures are good. The index of an update image is in its manifest; that of the
running system in `rollback-index.txt` of the image, which the root hash covers. An image without one has the index 0.

The floor is the higher one of two numbers: the index of the running system, and that in the file of the same name in
the config store, where `confirm` saves it. So a system on trial does not raise it, and a fallback stays possible. No
option lowers it: to go back all the same, the older system is built and signed again with a higher index.
"""

from __future__ import annotations

import os
import re

from guestos import durable
from guestos.environment import Environment
from guestos.errors import GuestError

INDEX = "rollback-index.txt"

MOST = (1 << 32) - 1
"""The highest index: one that fits 32 bits, as counters in hardware do."""

_NUMBER = re.compile("0|[1-9][0-9]{0,9}")


def floor(environment: Environment) -> int:
    """Returns the lowest rollback index that an update may have.

    Raises:
        GuestError: a file exists, but cannot be read or has no index.
    """
    return max(_read(os.path.join(folder, INDEX)) for folder in (environment.share, environment.config))


def keep_floor(environment: Environment) -> None:
    """Saves the floor in the config store, if it is higher than the one there; the file is fsynced.

    Raises:
        GuestError: a file cannot be read or written.
    """
    path = os.path.join(environment.config, INDEX)
    highest = floor(environment)
    if highest > _read(path):
        durable.replace(path, f"{highest}\n".encode())


def _read(path: str) -> int:
    """Returns the index in a file; 0 if there is no file."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(64).strip()
    except FileNotFoundError:
        return 0
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}") from error
    if not _NUMBER.fullmatch(text) or int(text) > MOST:
        raise GuestError(f"{path}: has {text!r}, which is not a rollback index from 0 to {MOST}")
    return int(text)
