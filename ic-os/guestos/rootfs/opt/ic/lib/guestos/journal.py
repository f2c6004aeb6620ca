"""Lines in the system's journal."""

from __future__ import annotations

import syslog


def note(text: str) -> None:
    """Writes a line that says what was done."""
    _write(syslog.LOG_INFO, text)


def warn(text: str) -> None:
    """Writes a line that a person should see."""
    _write(syslog.LOG_WARNING, text)


def error(text: str) -> None:
    """Writes a line that says what failed."""
    _write(syslog.LOG_ERR, text)


def _write(priority: int, text: str) -> None:
    syslog.openlog("manageboot")
    syslog.syslog(priority, text)
