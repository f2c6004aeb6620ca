"""Runs a script again as root, through sudo.

The orchestrator is not root and calls the scripts without sudo; /etc/sudoers.d/guestos has the calls that it may make.
Its service has no new privileges, so there another service runs sudo; see `privileged_scripts`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from guestos import privileged_scripts
from guestos.errors import GuestError

SUDO = "/usr/bin/sudo"

_UMASK = 0o022
"""Of scripts that run as root: what they write is for all to read unless they give it a mode."""


def become_root(script: str, arguments: Sequence[str], sudo: str = SUDO) -> None:
    """Replaces this process by the same script run by root. If it is root already, sets the umask and returns.

    A process that can get no new privileges waits for the script instead, and ends with its exit status.

    sudo keeps the bits of the caller's umask, and that of the orchestrator hides what it writes from other users.

    Args:
        script: absolute path of the script, as it is in the rules of sudo.
        arguments: its arguments.
        sudo: path of sudo.

    Raises:
        GuestError: sudo cannot be run, or the service that runs it cannot be reached.
    """
    if os.geteuid() == 0:
        os.umask(_UMASK)
        return
    if no_new_privileges():
        status = privileged_scripts.call(script, arguments)
        # What is left to do in this process was done by the script.
        os._exit(status)
    try:
        # Without a terminal, sudo must not wait for a password.
        os.execv(sudo, [sudo, "--non-interactive", "--", script, *arguments])
    except OSError as error:
        raise GuestError(f"{script} needs root, and {sudo} cannot be run: {error.strerror}") from error


def no_new_privileges(path: str = "/proc/self/status") -> bool:
    """Returns whether sudo has no effect in this process (PR_SET_NO_NEW_PRIVS in prctl(2)).

    Args:
        path: of the status of this process (proc_pid_status(5)).
    """
    with open(path, encoding="ascii", errors="replace") as file:
        return re.search(r"^NoNewPrivs:\s*1$", file.read(), re.MULTILINE) is not None
