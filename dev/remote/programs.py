"""Finds the programs of servers."""

from __future__ import annotations

import glob
import os
import shutil

from tools.core.errors import UserError

_FOLDERS = ("/usr/sbin", "/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True))
"""Debian's directories for servers, which an unprivileged user's PATH may lack."""


def find_program(name: str, package: str) -> str:
    """Returns the path of a program.

    Raises:
        UserError: it is not installed; the message has its Debian package.
    """
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS]))
    if path is None:
        raise UserError(f"{name}: not found; install the Debian package {package}, or use container-run.sh")
    return path
