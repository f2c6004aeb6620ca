"""What the nodes of a deployment are and see: asked by SSH, of several nodes at the same time."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testnet.local import machine, ssh
from testnet.local.state import LocalNode, State

PROBE = Path(__file__).with_name("guest_probe.py")
_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a node.

    Attributes:
        node: the node.
        running: whether its machine runs.
        answer: what guest_probe.py printed there; None if it does not answer.
        problem: why it does not.
    """

    node: LocalNode
    running: bool
    answer: dict[str, Any] | None = None
    problem: str = ""

    @property
    def version(self) -> str | None:
        """The version of the running system."""
        return self._slots.get("version")

    @property
    def slot(self) -> str | None:
        """The slot that runs."""
        return self._slots.get("current")

    @property
    def system(self) -> str | None:
        """Version and slot of the running system, such as `1.2 in A`; None if they are not known."""
        return None if self.version is None else f"{self.version} in {self.slot}"

    @property
    def is_confirmed(self) -> bool:
        """Whether the running system is the one that boots from now on."""
        return bool(self._slots.get("stable"))

    @property
    def boot_id(self) -> str | None:
        """Identifies the boot of the machine."""
        return None if self.answer is None else self.answer["boot_id"]

    @property
    def _slots(self) -> dict[str, Any]:
        return (self.answer or {}).get("slots") or {}

    def sees(self, other: LocalNode) -> bool:
        """Returns whether the node gets an answer of another node's replica, or its own."""
        return self.answer is not None and self.answer["replicas"].get(other.ip) is not None

    @property
    def is_up(self) -> bool:
        """Whether the system has started, is confirmed, and its replica responds if it has one."""
        started = self.answer is not None and self.answer["system"] in ("running", "degraded")
        return started and self.is_confirmed and (self.node.subnet is None or self.sees(self.node))

    @property
    def lacks(self) -> str:
        """What a node lacks to be up; empty if it is."""
        if not self.running:
            return "its machine does not run"
        if self.answer is None:
            return self.problem or "SSH does not answer"
        if self.answer["system"] not in ("running", "degraded"):
            return f"the system is {self.answer['system'] or 'not known'}"
        if not self.is_confirmed:
            return "the running system is not confirmed"
        return "" if self.is_up else "the replica does not respond"


def observe(state: State, node: LocalNode, nodes: Sequence[LocalNode]) -> Observation:
    """Asks one node.

    Args:
        state: of the deployment.
        node: to ask.
        nodes: all nodes, whose replicas it is to look for.
    """
    if not machine.is_running(state, node):
        return Observation(node, running=False)
    peers = [each.ip for each in nodes if each.subnet is not None]
    arguments = ["sudo", "python3", "-IB", "-", *peers]
    result = ssh.run(state, node, arguments, _SECONDS, script=PROBE.read_text("utf-8"))
    try:
        return Observation(node, running=True, answer=json.loads(result.stdout))
    except ValueError:
        said = (result.stderr or result.stdout).strip().splitlines()
        return Observation(node, running=True, problem=said[-1] if said else "SSH does not answer")


def observe_all(state: State, nodes: Sequence[LocalNode]) -> list[Observation]:
    """Asks all nodes, as many at the same time as there are processors.

    An answer is work for a machine: if more machines shared a processor for it, none would answer in time.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda node: observe(state, node, nodes), nodes))


def as_json(state: State, nodes: Sequence[LocalNode], found: Sequence[Observation]) -> list[dict[str, Any]]:
    """Returns what `status --json` prints: an object for each node."""
    return [_object(state, each, nodes) for each in found]


def _object(state: State, found: Observation, nodes: Sequence[LocalNode]) -> dict[str, Any]:
    node = found.node
    pid = machine.pid(state, node)
    peers = [each for each in nodes if each.subnet is not None and each != node]
    return {
        "name": node.name,
        "address": node.ip,
        "ports": node.ports,
        "running": found.running,
        "up": found.is_up,
        "lacks": found.lacks or None,
        "version": found.version,
        "slot": found.slot,
        "confirmed": found.is_confirmed,
        "subnet": node.subnet,
        "replica": found.sees(node) if node.subnet is not None else None,
        "sees": [each.name for each in peers if found.sees(each)],
        "does_not_see": [each.name for each in peers if not found.sees(each)],
        "failed_units": (found.answer or {}).get("failed", []),
        "pid": pid,
        "memory_mib": 0 if pid is None else machine.memory_kib(pid) >> 10,
        "disk_mib": machine.written_bytes(state, node) >> 20,
        "console": str(state.node_folder(node) / machine.CONSOLE_LOG),
    }


def as_text(objects: Sequence[dict[str, Any]]) -> str:
    """Returns the objects of `as_json` as a table."""
    rows = [("NODE", "STATE", "VERSION", "SLOT", "SEES", "SSH", "MEMORY", "DISK", "ADDRESS")]
    for each in objects:
        peers = len(each["sees"]) + len(each["does_not_see"])
        rows.append(
            (
                each["name"],
                "up" if each["up"] else "starting" if each["running"] else "stopped",
                each["version"] or "-",
                each["slot"] or "-",
                f"{len(each['sees'])} of {peers}",
                str(each["ports"]["ssh"]),
                f"{each['memory_mib']} MiB",
                f"{each['disk_mib']} MiB",
                each["address"],
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines += [f"{each['name']}: {each['lacks']}" for each in objects if each["lacks"]]
    return "\n".join(lines)
