"""The QEMU and firmware that a build brings by a `qemu_toolchain`; what it doesn't bring is found on the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tools.core.errors import UserError

KEYS = ("qemu", "qemu_img", "code", "variables", "secure_boot_code", "secure_boot_variables")
"""What a toolchain may bring: programs, and executable and variable store of firmware without and with Secure Boot."""

HELP = f"a file to take instead of the machine's: {', '.join(KEYS)}"


def checked_files(given: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the files of a toolchain as absolute paths, so that programs are not looked up on PATH.

    Raises:
        UserError: a name is not one of KEYS, or a file is missing.
    """
    files = given or {}
    for name, path in files.items():
        if name not in KEYS:
            raise UserError(f"--toolchain: {name}: is none of {', '.join(KEYS)}")
        if not os.path.isfile(path):
            raise UserError(f"--toolchain: {name}: {path}: is missing; leave it out to take the machine's")
    return {name: os.path.abspath(path) for name, path in files.items()}
