"""Starts a deployment on this machine, and ends it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testnet.inventory.deployment import Deployment
from testnet.local import link, machine, medium, process, ssh
from testnet.local.observe import Observation, observe_all
from testnet.local.requirements import check_deployment, check_disk, check_memory, check_programs, open_disk
from testnet.local.state import UPGRADE_LOCK, LocalNode, State, planned, with_free_ports
from testnet.local.waiting import wait_for
from tools.core.errors import UserError
from tools.image.extents import Image
from tools.image.rawfile import write_raw

_GRACE_SECONDS = 10
_PAUSE_SECONDS = 3.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be deployed.

    Attributes:
        deployment: the inventory.
        disk: the disk image, raw or as the one member of a tar.
        keys: public SSH keys that may log in besides the deployment's own, one a line.
    """

    deployment: Deployment
    disk: str
    keys: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What there is to do: `new` nodes have no files yet, those in `stopped` do not run."""

    nodes: list[LocalNode]
    new: list[LocalNode]
    stopped: list[LocalNode]
    image: Image | None


def check(state: State, request: Request) -> None:
    """Checks a request, and that this machine has what it needs; changes nothing.

    Raises:
        UserError: something is wrong or missing.
    """
    _plan(state, request)


def _plan(state: State, request: Request) -> _Plan:
    check_deployment(request.deployment)
    check_programs()
    nodes = planned(request.deployment)
    known = {node.name: node for node in state.nodes()}
    for node in known.values():
        if dataclasses.replace(node, ports={}) not in nodes:
            raise UserError(
                f"{request.deployment.origin}: {node.name}: was deployed otherwise; destroy the deployment with "
                "icos_destroy first"
            )
    nodes = [known.get(node.name, node) for node in nodes]
    image = None if known and state.disk.exists() else open_disk(request.disk)
    new = [node for node in nodes if not (state.node_folder(node) / machine.DISK).exists()]
    stopped = [node for node in nodes if not machine.is_running(state, node)]
    check_memory(stopped)
    check_disk(state.folder, image, new)
    return _Plan(nodes, new, stopped, image)


def deploy(state: State, request: Request, say: Say) -> list[LocalNode]:
    """Starts all machines of a deployment that do not run; those that run are left alone.

    Args:
        state: of the deployment.
        request: what to deploy.
        say: tells a person how far the work is.

    Returns:
        The nodes, which may not have started yet.

    Raises:
        UserError: something is wrong or missing. Before a machine runs, nothing is left of a new deployment.
    """
    check(state, request)
    with state.locked(), contextlib.ExitStack() as undo:
        known = state.nodes()
        if not known:
            undo.callback(remove, state)
        plan = _plan(state, request)
        programs = machine.find_programs() if plan.stopped else None
        if plan.image is not None:
            say(f"writing the disk that all machines begin with, from {request.disk}")
            write_raw(plan.image, state.disk, secret=True)
        nodes = _write(state, plan, request.keys, say)
        if known and {node.name for node in nodes} != {node.name for node in known}:
            say("there are new nodes; those that were deployed before do not admit them at their firewalls")
            process.end(state.link_pid, _GRACE_SECONDS)  # it has a list of all machines
        _start_link(state, nodes)
        for node in nodes:
            if programs is not None and not machine.is_running(state, node):
                machine.start(state, node, programs)
                say(f"{node.name}: started ({programs.accel.partition(',')[0]}), console in {_console(state, node)}")
        undo.pop_all()
    return nodes


def _console(state: State, node: LocalNode) -> Path:
    return state.node_folder(node) / machine.CONSOLE_LOG


def _write(state: State, plan: _Plan, keys: str, say: Say) -> list[LocalNode]:
    """Writes the files of nodes that have none; returns all nodes, with their ports."""
    own = ssh.write_key(state)
    nodes = list(plan.nodes)
    for number, node in enumerate(nodes):
        if node in plan.stopped:
            nodes[number] = with_free_ports(node, nodes)
            if node.ports and nodes[number] != node:
                say(f"{node.name}: gets other ports, since another program uses one of its own")
    state.write_nodes(nodes)
    ssh.write_config(state, nodes)
    for node in nodes:
        folder = state.node_folder(node)
        folder.mkdir(mode=0o700, exist_ok=True)
        if not (folder / machine.MEDIUM).exists():
            write_raw(medium.node_medium(node, nodes, own + keys), folder / machine.MEDIUM, secret=True)
        if not (folder / machine.DISK).exists():
            machine.create_disk(state, node)
    return nodes


def _start_link(state: State, nodes: Sequence[LocalNode]) -> None:
    if process.find(state.link_pid) is None:
        ports = {bytes.fromhex(node.mac.replace(":", "")): link.machine_socket(node.name) for node in nodes}
        process.start(state.link_pid, state.folder / "link.log", state.folder, lambda ready: link.serve(ports, ready))


def wait_until_up(state: State, nodes: Sequence[LocalNode], timeout: float, say: Say) -> list[Observation]:
    """Waits until all nodes are up and each gets answers of the others' replicas.

    Args:
        state: of the deployment.
        nodes: to wait for.
        timeout: time limit, in seconds.
        say: tells a person which nodes are up.

    Raises:
        UserError: some aren't up in time; the machines go on.
    """
    started = time.monotonic()
    up: set[str] = set()
    found: list[Observation] = []

    def all_are_up() -> bool:
        found[:] = observe_all(state, nodes)
        for each in found:
            if each.is_up and each.node.name not in up:
                up.add(each.node.name)
                say(f"{each.node.name}: up after {time.monotonic() - started:.0f} s, version {each.version}")
        if gone := [each.node.name for each in found if not each.running]:
            raise UserError(f"{', '.join(gone)}: the machine has ended; its console is in {state.folder}")
        return not _missing(found)

    if not wait_for(all_are_up, timeout, _PAUSE_SECONDS):
        raise UserError(f"not up within {timeout:.0f} s: {', '.join(_missing(found))}; the machines go on")
    return found


def _missing(found: Sequence[Observation]) -> list[str]:
    """Returns the nodes that are not up or do not see the others, each with the reason.

    A node's own replica responds before its firewall admits other nodes, which the orchestrator has it do.
    """
    peers = [each.node for each in found if each.node.subnet is not None]
    missing = []
    for each in found:
        unseen = [peer.name for peer in peers if not each.sees(peer)]
        if not each.is_up:
            missing.append(f"{each.node.name} ({each.lacks})")
        elif unseen:
            missing.append(f"{each.node.name} (gets no answer of the replica of {', '.join(unseen)})")
    return missing


def stop(state: State, nodes: Sequence[LocalNode], grace: float, say: Say) -> None:
    """Ends machines; their disks are kept.

    Args:
        state: of the deployment.
        nodes: whose machines to end.
        grace: how long each may take to shut down, in seconds; then, or at once with 0, its power is cut.
        say: tells a person how far the work is.
    """
    with state.locked():
        for node in nodes:
            was_running = machine.is_running(state, node)
            machine.power_down(state, node, grace)
            say(f"{node.name}: {'stopped' if was_running else 'was not running'}")
        if not any(machine.is_running(state, node) for node in state.nodes()):
            process.end(state.link_pid, _GRACE_SECONDS)


def destroy(state: State, say: Say) -> None:
    """Ends a deployment and removes all of its files; it need not exist."""
    if not state.folder.exists():
        say(f"{state.name}: is not deployed here")
        return
    with state.locked(), state.locked(UPGRADE_LOCK):
        remove(state)
    say(f"{state.name}: destroyed")


def remove(state: State) -> None:
    """Ends all processes whose files are in a deployment's folder, and removes it."""
    for file in (*state.folder.glob("*/qemu.pid"), state.link_pid):
        process.end(file, _GRACE_SECONDS)
    state.remove()
