"""The rollback index: a number in everything that is signed, below which a machine does not go back.

A release that mends a flaw is built with a higher index than the releases that have it. A machine then refuses to
install those, even though their signatures are good. The index of an update image is in its manifest; that of the
running system in `rollback-index.txt` of the image, which the root hash covers. An image without one has the index 0.

The floor is the highest one of three numbers: the index of the running system, that in the file of the same name in the
config store, and that in the TPM if the machine has one; `confirm` saves it in both. So a system on trial does not
raise it, and a fallback stays possible. Where there is a TPM, deleting the file does not lower the floor. No option
lowers it: to go back all the same, the older system is built and signed again with a higher index.
"""

from __future__ import annotations

import os
import re

from guestos import durable, tpm
from guestos.environment import Environment
from guestos.errors import GuestError

INDEX = "rollback-index.txt"

MOST = tpm.MOST
"""The highest index: one of 32 bits."""

_NUMBER = re.compile("0|[1-9][0-9]{0,9}")


def floor(environment: Environment) -> int:
    """Returns the lowest rollback index that an update may have.

    Raises:
        GuestError: a file exists, but cannot be read or has no index; or the TPM does not say what it keeps.
    """
    files = [_read(os.path.join(folder, INDEX)) for folder in (environment.share, environment.config)]
    return max(*files, tpm.read(environment.tpm))


def keep_floor(environment: Environment) -> None:
    """Saves the index of the running system where a lower one is kept: in the config store, fsynced, and in the TPM.

    The running system must be confirmed: the initramfs starts none below the floor. If there is nothing to raise,
    nothing is written. The TPM keeps it if the config store fails, too.

    Raises:
        GuestError: a file cannot be read or written, or the TPM refuses.
    """
    index = _read(os.path.join(environment.share, INDEX))
    errors = []
    for keep, place in ((_keep_in_file, os.path.join(environment.config, INDEX)), (tpm.keep, environment.tpm)):
        try:
            keep(place, index)
        except GuestError as error:
            errors.append(str(error))
    if errors:
        raise GuestError("; ".join(errors))


def _keep_in_file(path: str, index: int) -> None:
    if index > _read(path):
        durable.replace(path, f"{index}\n".encode())


def _read(path: str) -> int:
    """Returns the index in a file; 0 if there is no file."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(64).strip()
    except FileNotFoundError:
        return 0
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}") from error
    if not _NUMBER.fullmatch(text) or int(text) > MOST:
        raise GuestError(f"{path}: has {text!r}, which is not a rollback index from 0 to {MOST}")
    return int(text)
