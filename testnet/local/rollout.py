"""Rolls an upgrade out over a deployment on this machine: one subnet after the other, and one node of it at a time.

Nodes without a subnet come first, and the root subnet last. In a subnet that lost more nodes than it may, the roll-out
halts: all other nodes keep their system.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testnet.local import machine
from testnet.local.deploy import Say
from testnet.local.state import LocalNode, State
from testnet.local.upgrade import Upgraded, offered, upgrade
from tools.core.errors import UserError

UPGRADED = "upgraded"
FAILED = "failed"
NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a roll-out puts up with.

    Attributes:
        timeout: how long a node's new system may take until it is confirmed, in seconds.
        tolerate: how many nodes of a subnet may fail before the roll-out halts.
    """

    timeout: float
    tolerate: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of a node. Times are seconds since the start of the roll-out; None if it was not reached.

    Attributes:
        name: of the node.
        subnet: its subnet, such as `subnet 1`.
        result: UPGRADED, FAILED or NOT_TRIED.
        before: version and slot before.
        after: version and slot after.
        started: when the upgrade began.
        installed: when the new system was installed.
        ended: when it was confirmed, or when the upgrade had failed.
        problem: why it failed.
    """

    name: str
    subnet: str
    result: str = NOT_TRIED
    before: str | None = None
    after: str | None = None
    started: float | None = None
    installed: float | None = None
    ended: float | None = None
    problem: str | None = None


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


def roll_out(state: State, nodes: Sequence[LocalNode], image: Path, limits: Limits, say: Say) -> list[Record]:
    """Upgrades nodes.

    Args:
        state: of the deployment.
        nodes: to upgrade.
        image: the update image.
        limits: of time and failures.
        say: tells a person how far the work is.

    Returns:
        A record of each node, in the order of the roll-out.

    Raises:
        UserError: nothing was upgraded, since the image cannot be read, or a machine does not run.
    """
    if stopped := [node.name for node in nodes if not machine.is_running(state, node)]:
        raise UserError(f"{', '.join(stopped)}: does not run; start it with icos_deploy")
    with state.locked(), offered(image) as offer:
        begin = time.monotonic()
        records: list[Record] = []
        for stage in stages(nodes):
            for node in stage:
                if _is_halted(records, limits.tolerate):
                    records.append(Record(name=node.name, subnet=subnet_name(node)))
                else:
                    action = functools.partial(upgrade, state, node, offer, limits.timeout, say)
                    records.append(_try(node, begin, say, action))
    if missing := sum(each.result == NOT_TRIED for each in records):
        say(f"halted: {missing} nodes keep their system")
    return records


def _is_halted(records: Sequence[Record], tolerate: int) -> bool:
    failed = [each.subnet for each in records if each.result == FAILED]
    return any(failed.count(subnet) > tolerate for subnet in failed)


def _try(node: LocalNode, begin: float, say: Say, action: Callable[[], Upgraded]) -> Record:
    record = Record(name=node.name, subnet=subnet_name(node), started=_since(begin))
    try:
        done = action()
    except UserError as error:
        say(str(error))
        return dataclasses.replace(record, result=FAILED, ended=_since(begin), problem=str(error))
    return dataclasses.replace(
        record,
        result=UPGRADED,
        before=done.before,
        after=done.after,
        installed=round(done.started + done.installed - begin, 1),
        ended=round(done.started + done.confirmed - begin, 1),
    )


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 1)
