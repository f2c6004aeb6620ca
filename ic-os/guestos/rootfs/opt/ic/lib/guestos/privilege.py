"""Runs a script again as root, through sudo.

The orchestrator is not root and calls the scripts without sudo; /etc/sudoers.d/guestos has the calls that it may make.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from guestos.errors import GuestError

SUDO = "/usr/bin/sudo"

_UMASK = 0o022
"""Of scripts that run as root: what they write is for all to read unless they give it a mode."""


def become_root(script: str, arguments: Sequence[str], sudo: str = SUDO) -> None:
    """Replaces this process by the same script run by root. If it is root already, sets the umask and returns.

    sudo keeps the bits of the caller's umask, and that of the orchestrator hides what it writes from other users.

    Args:
        script: absolute path of the script, as it is in the rules of sudo.
        arguments: its arguments.
        sudo: path of sudo.

    Raises:
        GuestError: sudo cannot be run.
    """
    if os.geteuid() == 0:
        os.umask(_UMASK)
        return
    try:
        # Without a terminal, sudo must not wait for a password.
        os.execv(sudo, [sudo, "--non-interactive", "--", script, *arguments])
    except OSError as error:
        raise GuestError(f"{script} needs root, and {sudo} cannot be run: {error.strerror}") from error
