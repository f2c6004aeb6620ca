"""The status of the slots and the boot state: as text, as JSON, and as metrics of node_exporter."""

from __future__ import annotations

from typing import Any

from guestos import boot_state, booted, metrics, slots
from guestos.boot_state import DAMAGED, FALLBACK, FIRST_BOOT, SLOTS, BootState, other
from guestos.environment import Environment
from guestos.system import read_version

METRICS = "guestos_upgrade.prom"


def read_status(environment: Environment) -> dict[str, Any]:
    """Returns the object that `status --json` prints; doc/Upgrade.adoc explains the values.

    Raises:
        GuestError: the file that records what was booted is missing or damaged.
    """
    running = booted.read(environment.booted)
    current, reason = running.slot, running.reason or None
    state = boot_state.read(environment.grubenv)
    return {
        "current": current,
        "next": state.next_slot,
        "boot_alternative": state.alternative,
        "boot_cycle": state.cycle,
        "boot_state": reason,
        "confirmed": state.confirmed,
        "version": read_version(environment),
        "stable": state.is_confirmed(current),
        "slots": {slot: _slot(environment, slot, current, state) for slot in SLOTS},
        "notes": _notes(environment, current, state, reason),
    }


def _slot(environment: Environment, slot: str, current: str, state: BootState) -> dict[str, Any]:
    known = slots.read(environment, slot)
    if slot == current:
        found = slots.CONFIRMED if state.is_confirmed(slot) else "on trial"
        return {"state": found, "version": read_version(environment), "problem": None}
    if known is None:
        return {"state": "as shipped", "version": None, "problem": None}
    if known.state == slots.COMMITTED and boot_state.decide(state).slot != slot:
        return {"state": "not confirmed", "version": known.version, "problem": "its trial ended without confirmation"}
    return {"state": known.state, "version": known.version or None, "problem": known.problem or None}


def _notes(environment: Environment, current: str, state: BootState, reason: str | None) -> list[str]:
    """Returns sentences about everything that is not as usual."""
    passive = other(current)
    known = slots.read(environment, passive)
    version = f" with version {known.version}" if known is not None and known.version else ""
    notes = []
    if reason == FALLBACK:
        notes.append(
            f"This boot fell back to slot {current}: slot {passive}{version} could not be started or was not confirmed."
        )
    elif reason == DAMAGED:
        notes.append(f"The boot state was damaged: slot {current} was booted because it was the last confirmed one.")
    if state.cycle == FIRST_BOOT and state.alternative == passive:
        notes.append(f"The next boot is the trial of slot {passive}{version}.")
    elif not state.is_confirmed(current):
        notes.append(f"Slot {current} is not confirmed: the next boot is of slot {state.next_slot}.")
    if known is not None and known.state in (slots.INSTALLING, slots.FAILED):
        notes.append(f"Slot {passive} has no complete system: {known.problem or 'an installation did not finish'}.")
    return notes


def as_text(status: dict[str, Any]) -> str:
    """Returns a status as lines of text."""
    lines = [f"{name}: {_word(value)}" for name, value in status.items() if not isinstance(value, dict | list)]
    for slot, values in status["slots"].items():
        problem = f" ({values['problem']})" if values["problem"] else ""
        lines.append(f"slot {slot}: {values['state']}, version {_word(values['version'])}{problem}")
    return "\n".join(lines + status["notes"])


def _word(value: object) -> str:
    return {True: "yes", False: "no", None: "unknown"}.get(value, str(value))  # type: ignore[call-overload,no-any-return]


def write_metrics(environment: Environment, done: str = "") -> None:
    """Writes the status as metrics; an error when writing them is ignored.

    Args:
        environment: the machine.
        done: the command of manageboot.sh that has just succeeded, or nothing.

    Raises:
        GuestError: the file that records what was booted is missing or damaged.
    """
    status = read_status(environment)
    lines = _metric_lines(status, _boot_actions(environment, status, done))
    metrics.write(environment.metrics, METRICS, lines)


def _boot_actions(environment: Environment, status: dict[str, Any], done: str) -> list[str]:
    """Returns the samples of guestos_boot_action: what was done last, or what the next boot does."""
    current, version = status["current"], _word(status["version"])
    if done == "upgrade-install":
        boot, root = (environment.partition(other(current), name) for name in ("boot", "root"))
        return [f'{{written_boot="{boot}"}} 1', f'{{written_root="{root}"}} 1', '{written_var="true"} 1']
    if done == "upgrade-commit":
        return ['{committed="true"} 1']
    if done == "confirm":
        return [f'{{confirm_boot="{environment.partition(current, "boot")}",version="{version}"}} 1']
    if status["stable"] and status["next"] == current:
        return ['{successful_boot="true"} 0']
    return [f'{{next_boot="{status["next"]}",version="{version}"}} 2']


def _metric_lines(status: dict[str, Any], actions: list[str]) -> list[str]:
    """Returns a status in the text format of Prometheus.

    `guestos_boot_stable`, `guestos_boot_action` and `guestos_version` have the names, labels and values that the IC's
    monitoring expects.
    """
    confirmed, version = int(status["stable"]), _word(status["version"])
    return [
        "# HELP guestos_slot_info State and version of the system in a slot.",
        "# TYPE guestos_slot_info gauge",
        *(
            f'guestos_slot_info{{slot="{slot}",state="{values["state"]}",version="{_word(values["version"])}"}} 1'
            for slot, values in status["slots"].items()
        ),
        "# HELP guestos_boot_confirmed Whether the running system is confirmed.",
        "# TYPE guestos_boot_confirmed gauge",
        f"guestos_boot_confirmed {confirmed}",
        "# HELP guestos_boot_stable Whether the running system is confirmed.",
        "# TYPE guestos_boot_stable gauge",
        f"guestos_boot_stable {confirmed}",
        "# HELP guestos_boot_action 1: done by manageboot.sh last; 0: the boot succeeded; 2: what boots next.",
        "# TYPE guestos_boot_action gauge",
        *(f"guestos_boot_action{action}" for action in actions),
        "# HELP guestos_version Version of the running system; 0 if it is not known.",
        "# TYPE guestos_version gauge",
        f'guestos_version{{version="{version}"}} {int(status["version"] is not None)}',
        "# HELP guestos_next_slot_info The slot that boots next.",
        "# TYPE guestos_next_slot_info gauge",
        f'guestos_next_slot_info{{slot="{status["next"]}"}} 1',
    ]
