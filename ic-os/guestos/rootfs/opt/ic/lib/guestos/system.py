"""What the running system is: what it says of itself in system.json, and what the machine says."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass

from guestos.environment import Environment
from guestos.errors import GuestError

SYSTEM = "system.json"
VERSION = "version.txt"


@dataclass(frozen=True, slots=True)
class System:
    """What an update has to be for.

    Attributes:
        product: such as guestos.
        variant: such as dev or prod.
        architecture: of the machine, as `uname -m` says it.
        layout: the SHA-256 of the disk's layout as the initial RAM file system knows it, in hex.
    """

    product: str
    variant: str
    architecture: str
    layout: str


def read_system(environment: Environment) -> System:
    """Returns what the running system is.

    Raises:
        GuestError: it does not say so.
    """
    path = os.path.join(environment.share, SYSTEM)
    try:
        with open(path, "rb") as file:
            values = json.load(file)
        product, variant = str(values["product"]), str(values["variant"])
        with open(environment.layout, "rb") as file:
            layout = hashlib.sha256(file.read()).hexdigest()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise GuestError(f"{path}: this system does not say what it is: {error!r}") from error
    return System(product, variant, os.uname().machine, layout)


def read_version(environment: Environment) -> str | None:
    """Returns the version of the running system; None where it does not say."""
    try:
        with open(os.path.join(environment.share, VERSION), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None


def read_boot_state(environment: Environment) -> str | None:
    """Returns why the boot loader chose the slot that runs; None where the kernel was not told.

    That is the value of dfinity.boot_state on the kernel command line; doc/Boot.adoc lists them.
    """
    try:
        with open(environment.command_line, encoding="utf-8", errors="replace") as file:
            words = file.read().split()
    except OSError:
        return None
    return next(
        (value for name, _, value in (word.partition("=") for word in words) if name == "dfinity.boot_state"), None
    )
