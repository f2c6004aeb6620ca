"""The identity of the running system: product and variant from system.json, version, architecture."""

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
    """The identity of a system; an update must have the same values.

    Attributes:
        product: such as guestos.
        variant: such as dev or prod.
        architecture: of the machine, as `uname -m` prints it.
        layout: the SHA-256 of the list of partitions that the initramfs writes, in hex.
    """

    product: str
    variant: str
    architecture: str
    layout: str


def read_system(environment: Environment) -> System:
    """Returns the identity of the running system.

    Raises:
        GuestError: system.json or the list of partitions is missing or damaged.
    """
    product, variant = _product_and_variant(environment)
    try:
        with open(environment.layout, "rb") as file:
            layout = hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise GuestError(f"{environment.layout}: the disk layout cannot be read: {error.strerror}") from error
    return System(product, variant, os.uname().machine, layout)


def read_variant(environment: Environment) -> str:
    """Returns the variant of the running system, such as dev or prod.

    Raises:
        GuestError: system.json is missing or damaged.
    """
    return _product_and_variant(environment)[1]


def _product_and_variant(environment: Environment) -> tuple[str, str]:
    path = os.path.join(environment.share, SYSTEM)
    try:
        with open(path, "rb") as file:
            values = json.load(file)
        return str(values["product"]), str(values["variant"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise GuestError(f"{path}: the identity of this system cannot be read: {error!r}") from error


def read_version(environment: Environment) -> str | None:
    """Returns the version of the running system; None if it cannot be read."""
    try:
        with open(os.path.join(environment.share, VERSION), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
