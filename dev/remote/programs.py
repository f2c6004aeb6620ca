"""Programs of the machine that servers are made of."""

from __future__ import annotations

import glob
import os
import shutil

from tools.core.errors import UserError

_FOLDERS = ("/usr/sbin", "/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True))
"""Where Debian keeps servers, which are not on everyone's PATH."""


def find_program(name: str, package: str) -> str:
    """Returns the path of a program.

    Raises:
        UserError: it is missing; the message says what to install.
    """
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS]))
    if path is None:
        raise UserError(f"{name}: not found; install the Debian package {package}, or use container-run.sh")
    return path
