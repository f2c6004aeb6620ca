"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.1
_SHARE = 2
"""A pause is at least so many times as long as the last question took."""
_MOST_PAUSE_SECONDS = 30.0


def wait_for(condition: Callable[[], bool], timeout: float, pause: float = _PAUSE_SECONDS) -> bool:
    """Waits until a condition is true; returns whether it is.

    A question may be work for the machine that it is about, as a login is: questions take at most a third of the time,
    unless one takes longer than 15 s.

    Args:
        condition: is asked at least once.
        timeout: time limit, in seconds.
        pause: least time between two questions, in seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        if condition():
            return True
        now = time.monotonic()
        if now >= deadline:
            return False
        time.sleep(min(max(pause, min(_SHARE * (now - asked), _MOST_PAUSE_SECONDS)), deadline - now))
