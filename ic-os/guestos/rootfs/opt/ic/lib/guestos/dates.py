"""The date that expiry dates of keys are compared with.

It is that of the clock, but not before the date floor: an expired key stays expired when the clock is set back. The
floor is the later one of two dates: that in `release-date.txt` of the image, which the root hash covers, and that in
`date-floor.txt` of the config store. The latter is the last date on which manageboot.sh ran with a clock that a time
server had set; a clock that nobody has set since the boot cannot move it, since it may be years ahead.
"""

from __future__ import annotations

import datetime as dt
import os

from guestos import durable, journal
from guestos.environment import Environment
from guestos.errors import GuestError

RELEASE = "release-date.txt"
FLOOR = "date-floor.txt"


def today(environment: Environment) -> dt.date:
    """Returns the date of the clock, in UTC, or the date floor if that is later.

    Raises:
        GuestError: the file of a date exists, but cannot be read or has none.
    """
    clock, floor = _clock(environment), _floor(environment)
    if floor is None or clock >= floor:
        return clock
    journal.warn(f"the clock shows {clock}, which is before {floor}, the date floor of this machine: it is set back")
    return floor


def keep(environment: Environment) -> None:
    """Saves the date in the config store, if the clock is synchronized and the date later than the one there.

    An error is logged: what the caller does does not depend on it.
    """
    if not os.path.exists(environment.synchronized):
        return
    path, clock = os.path.join(environment.config, FLOOR), _clock(environment)
    try:
        known = _read(path)
        if known is None or clock > known:
            durable.replace(path, f"{clock}\n".encode())
    except GuestError as error:
        journal.warn(f"the date floor is not saved: {error}")


def _clock(environment: Environment) -> dt.date:
    return dt.datetime.fromtimestamp(environment.now(), dt.UTC).date()


def _floor(environment: Environment) -> dt.date | None:
    paths = os.path.join(environment.share, RELEASE), os.path.join(environment.config, FLOOR)
    return max((date for path in paths if (date := _read(path)) is not None), default=None)


def _read(path: str) -> dt.date | None:
    """Returns the date in a file; None if there is no file, or if it is empty."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(64).strip()
        return dt.date.fromisoformat(text) if text else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise GuestError(
            f"{path}: has no date as YYYY-MM-DD: {error}; without the file, there is no such floor"
        ) from error
