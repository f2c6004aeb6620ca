"""Rolls an upgrade out over a deployment on this machine: one subnet after the other, and one node of it at a time.

Nodes without a subnet come first, and the root subnet last. In a subnet that lost more nodes than it may, the roll-out
halts: all other nodes keep their system. Called again it goes on, since nodes that have the version are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testnet.local import machine
from testnet.local.deploy import Say
from testnet.local.report import FAILED, FINISHED, HALTED, INTERRUPTED, NOT_TRIED, RUNNING, Clock, Record, Run, Track
from testnet.local.state import UPGRADE_LOCK, LocalNode, State
from testnet.local.upgrade import Offer, offered, upgrade
from tools.core.errors import UserError

Save = Callable[[Run], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a roll-out puts up with.

    Attributes:
        timeout: how long a node may take until it is up, and until its new system is confirmed, in seconds.
        tolerate: how many nodes of a subnet may fail before the roll-out halts.
    """

    timeout: float
    tolerate: int = 0


def subnet_name(node: LocalNode) -> str:
    """Returns what a subnet is called."""
    return "no subnet" if node.subnet is None else f"subnet {node.subnet}" if node.subnet else "root subnet"


def stages(nodes: Sequence[LocalNode]) -> list[list[LocalNode]]:
    """Returns the nodes of each subnet, in the order of the roll-out."""
    subnets: dict[tuple[int, int], list[LocalNode]] = {}
    for node in nodes:
        order = (0, 0) if node.subnet is None else (1, node.subnet) if node.subnet else (2, 0)
        subnets.setdefault(order, []).append(node)
    return [subnets[order] for order in sorted(subnets)]


def roll_out(
    state: State, nodes: Sequence[LocalNode], image: Path, limits: Limits, say: Say, *, save: Save = lambda _: None
) -> Run:
    """Upgrades nodes.

    Args:
        state: of the deployment.
        nodes: to upgrade.
        image: the update image.
        limits: of time and failures.
        say: tells a person how far the work is.
        save: called with the run at its start, after each step, and at its end.

    Returns:
        The run, with a record of each node, in the order of the roll-out.

    Raises:
        UserError: nothing was upgraded, since the image cannot be read, or a machine does not run.
    """
    if stopped := [node.name for node in nodes if not machine.is_running(state, node)]:
        raise UserError(f"{', '.join(stopped)}: does not run; start it with icos_deploy")
    order = [node for stage in stages(nodes) for node in stage]
    with state.locked(UPGRADE_LOCK), offered(image) as offer:
        clock = Clock()
        run = Run(
            began=clock.text,
            version=offer.version,
            sha256=offer.digest,
            size=offer.size,
            tolerate=limits.tolerate,
            nodes=[Record(name=node.name, subnet=subnet_name(node)) for node in order],
        )

        def saved() -> None:
            run.sent = offer.sent
            save(run)

        saved()
        try:
            for node, record in zip(order, run.nodes, strict=True):
                if not _is_halted(run.nodes, limits.tolerate):
                    _try(state, node, offer, limits.timeout, Track(record, clock, saved, say))
            run.result = HALTED if _is_halted(run.nodes, limits.tolerate) else FINISHED
        except BaseException:
            run.result = INTERRUPTED
            raise
        finally:
            saved()
    if missing := sum(each.result == NOT_TRIED for each in run.nodes):
        say(f"halted: {missing} nodes keep their system; the same command goes on when the reason is mended")
    return run


def _is_halted(records: Sequence[Record], tolerate: int) -> bool:
    failed = [each.subnet for each in records if each.result == FAILED]
    return any(failed.count(subnet) > tolerate for subnet in failed)


def _try(state: State, node: LocalNode, offer: Offer, timeout: float, track: Track) -> None:
    record = track.record
    record.result = RUNNING
    try:
        record.result = upgrade(state, node, offer, timeout, track)
    except UserError as error:
        track.say(str(error))
        record.result, record.problem = FAILED, str(error)
        track.mark(FAILED)
