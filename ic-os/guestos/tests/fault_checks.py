"""What must be so after a fault."""

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
    """Checks that slot B is bad and A stays, and that an installation of a good image mends that."""
    known = machine.slot("B")
    assert known is not None
    assert known.state in (slots.INSTALLING, slots.FAILED)
    assert machine.read_state() == BootState("A", STABLE, "A")
    assert machine.partition("B", "boot").read_bytes()[:MIB] == bytes(MIB), "no boot loader can start it"
    assert machine.partition("B", "var").read_bytes()[:MIB] == bytes(MIB)
    assert machine("upgrade-commit") == REFUSED_STATE
    assert not machine.rebooted
    assert machine("upgrade-install", good) == 0
    assert machine("upgrade-commit") == 0


def plain(environment: Environment) -> dict[str, Any]:
    """Returns what a program in another process needs to have the same environment."""
    names = ("grubenv", "booted", "layout", "devices", "share", "config", "metrics", "command_line")
    return {name: getattr(environment, name) for name in names}
