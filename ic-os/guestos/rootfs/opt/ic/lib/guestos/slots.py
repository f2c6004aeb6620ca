"""What is known of the content of the slots, in files of the config store: slots/A.json and slots/B.json.

A slot that an installation has begun to write to is not to be booted until the installation is done. So it is noted
here, on the disk, before the first byte of the slot is written:

    installing  an installation began, and did not end
    failed      an installation ended with an error
    ready       an installation ended well: what the slot holds is what the manifest says
    committed   the boot loader was told to try it, and it was not confirmed since
    confirmed   it ran and was confirmed

A slot without such a file was never written to by an upgrade. A file that cannot be understood stands for `failed`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from guestos import durable
from guestos.environment import Environment
from guestos.errors import GuestError

INSTALLING = "installing"
FAILED = "failed"
READY = "ready"
COMMITTED = "committed"
CONFIRMED = "confirmed"

STATES = (INSTALLING, FAILED, READY, COMMITTED, CONFIRMED)

_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What is known of a slot.

    Attributes:
        state: one of STATES.
        version: of the system in it.
        manifest: the SHA-256 of the manifest that it was installed from, in hex.
        root_hash: of its root, in hex.
        heads: the SHA-256 of the first piece of its boot and of its root partition, in hex.
        problem: why it failed.
    """

    state: str
    version: str = ""
    manifest: str = ""
    root_hash: str = ""
    heads: tuple[str, ...] = ()
    problem: str = ""


def path(environment: Environment, slot: str) -> str:
    """Returns the path of a slot's file."""
    return os.path.join(environment.config, "slots", f"{slot}.json")


def read(environment: Environment, slot: str) -> Slot | None:
    """Returns what is known of a slot; None where no upgrade ever wrote to it."""
    name = path(environment, slot)
    try:
        with open(name, "rb") as file:
            values = json.loads(file.read(_MOST_BYTES))
        values["heads"] = tuple(values["heads"])
        found = Slot(**values)
        if found.state not in STATES or (found.state == READY and len(found.heads) != 2):
            raise ValueError(f"state {found.state!r} with {len(found.heads)} heads")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return Slot(state=FAILED, problem=f"{name}: cannot be read: {error}")
    return found


def write(environment: Environment, slot: str, value: Slot) -> None:
    """Notes what is known of a slot; it is on the disk when this returns.

    Raises:
        GuestError: it cannot be written.
    """
    name = path(environment, slot)
    folder = os.path.dirname(name)
    try:
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o755)
            durable.sync_folder(environment.config)
    except OSError as error:
        raise GuestError(f"{folder}: cannot be made: {error.strerror}") from error
    durable.replace(name, (json.dumps(asdict(value), indent=1, sort_keys=True) + "\n").encode())
