"""Writes messages of manageboot.sh to the system's journal."""

from __future__ import annotations

import syslog


def note(text: str) -> None:
    """Logs what was done."""
    _write(syslog.LOG_INFO, text)


def warn(text: str) -> None:
    """Logs a warning."""
    _write(syslog.LOG_WARNING, text)


def error(text: str) -> None:
    """Logs what failed."""
    _write(syslog.LOG_ERR, text)


def _write(priority: int, text: str) -> None:
    syslog.openlog("manageboot")
    # The name of a file may be no UTF-8.
    syslog.syslog(priority, text.encode(errors="backslashreplace").decode())
