"""Slot records: the state of each slot's content, in slots/A.json and slots/B.json of the config store.

A slot must not be booted while it is only partly written. So the record is written, and fsynced, before the first byte
of the slot is. Its states:

    installing  an installation has started and not finished
    failed      an installation ended with an error
    ready       an installation succeeded: the slot contains what the manifest describes
    committed   the slot was set to be booted next, and has not been confirmed since
    confirmed   the slot ran and was confirmed

A slot without a record was never written by an upgrade. A record that cannot be parsed counts as `failed`.

Beside the record, in slots/A.manifest.json and slots/B.manifest.json, is the manifest of the update image, with which
all that was written can be verified again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from guestos import durable, manifest
from guestos.environment import Environment
from guestos.errors import GuestError, StateError
from guestos.manifest import Manifest

INSTALLING = "installing"
FAILED = "failed"
READY = "ready"
COMMITTED = "committed"
CONFIRMED = "confirmed"

STATES = (INSTALLING, FAILED, READY, COMMITTED, CONFIRMED)

_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The record of a slot.

    Attributes:
        state: one of STATES.
        version: of the system in the slot.
        manifest: the SHA-256 of the manifest that it was installed from, in hex.
        root_hash: the root hash of its root partition, in hex.
        problem: the error message if the state is FAILED.
    """

    state: str
    version: str = ""
    manifest: str = ""
    root_hash: str = ""
    problem: str = ""


def path(environment: Environment, slot: str) -> str:
    """Returns the path of a slot's record."""
    return os.path.join(environment.config, "slots", f"{slot}.json")


def read(environment: Environment, slot: str) -> Slot | None:
    """Returns the record of a slot; None if no upgrade ever wrote the slot."""
    name = path(environment, slot)
    try:
        with open(name, "rb") as file:
            values = json.loads(file.read(_MOST_BYTES))
        found = Slot(**values)
        if found.state not in STATES or (found.state == READY and not found.manifest):
            raise ValueError(f"state {found.state!r} with the manifest {found.manifest!r}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return Slot(state=FAILED, problem=f"{name}: cannot be read: {error}")
    return found


def write(environment: Environment, slot: str, value: Slot) -> None:
    """Writes the record of a slot and fsyncs it.

    Raises:
        GuestError: the record cannot be written.
    """
    _make_folder(environment)
    durable.replace(path(environment, slot), (json.dumps(asdict(value), indent=1, sort_keys=True) + "\n").encode())


def read_manifest(environment: Environment, slot: str, known: Slot) -> Manifest:
    """Returns the manifest that a slot was installed from.

    Args:
        environment: the machine.
        slot: the slot.
        known: its record.

    Raises:
        StateError: it is missing, or is not the one of the record.
    """
    name = _manifest_path(environment, slot)
    try:
        with open(name, "rb") as file:
            found = manifest.parse(file.read(manifest.MOST_BYTES))
    except (OSError, GuestError) as error:
        raise StateError(f"{name}: cannot be read: {error}; install again") from error
    if found.digest != known.manifest:
        raise StateError(f"{name}: was changed since the installation; install again")
    return found


def write_manifest(environment: Environment, slot: str, content: bytes) -> None:
    """Writes the manifest that a slot is installed from, and fsyncs it.

    Raises:
        GuestError: it cannot be written.
    """
    _make_folder(environment)
    durable.replace(_manifest_path(environment, slot), content)


def _manifest_path(environment: Environment, slot: str) -> str:
    return os.path.join(environment.config, "slots", f"{slot}.manifest.json")


def _make_folder(environment: Environment) -> None:
    folder = os.path.join(environment.config, "slots")
    try:
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o755)
            durable.sync_folder(environment.config)
    except OSError as error:
        raise GuestError(f"{folder}: cannot be created: {error.strerror}") from error
