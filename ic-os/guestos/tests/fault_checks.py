"""Checks of a machine after a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from file_machine import FileMachine
from guestos import slots
from guestos.boot_state import STABLE, BootState
from guestos.environment import Environment
from update_images import MIB

FAILED, REFUSED_STATE, REFUSED_IMAGE, BUSY = 1, 3, 4, 5
"""Exit statuses of manageboot.sh."""


def check_bad(machine: FileMachine, good: Path) -> None:
    """Checks that slot B is recorded as bad, that A is unchanged, and that a new installation repairs B.

    Args:
        machine: the machine after the fault.
        good: path of an update image to install.
    """
    known = machine.slot("B")
    assert known is not None
    assert known.state in (slots.INSTALLING, slots.FAILED)
    assert machine.read_state() == BootState("A", STABLE, "A")
    assert machine.partition("B", "boot").read_bytes()[:MIB] == bytes(MIB), "a boot loader could start it"
    assert machine.partition("B", "var").read_bytes()[:MIB] == bytes(MIB)
    assert machine("upgrade-commit") == REFUSED_STATE
    assert not machine.rebooted
    assert machine("upgrade-install", good) == 0
    assert machine("upgrade-commit") == 0


def plain(environment: Environment) -> dict[str, Any]:
    """Returns the arguments of an equal Environment, as literals that can be passed to another process."""
    names = ("grubenv", "booted", "layout", "devices", "share", "config", "metrics", "synchronized")
    return {name: getattr(environment, name) for name in names}
