"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.1


def wait_for(condition: Callable[[], bool], timeout: float, pause: float = _PAUSE_SECONDS) -> bool:
    """Waits until a condition is true; returns whether it is.

    Args:
        condition: is asked at least once.
        timeout: time limit, in seconds.
        pause: time between two questions, in seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
    return True
