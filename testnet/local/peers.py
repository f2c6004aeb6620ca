"""What a roll-out asks of the link between the nodes: whether a node sees the replicas of others.

A node of a subnet that sees none of them is cut off: its new system could not show there that it works. Machines that
do not run, and nodes without a subnet, which have no replica, say nothing about the link.
"""

from __future__ import annotations

from collections.abc import Sequence

from testnet.local import machine
from testnet.local.observe import Observation
from testnet.local.state import LocalNode, State


def peers(node: LocalNode, nodes: Sequence[LocalNode]) -> list[LocalNode]:
    """Returns the other nodes whose replicas a node sees on a whole link; none for a node without a subnet."""
    if node.subnet is None:
        return []
    return [each for each in nodes if each.subnet is not None and each != node]


def unseen(state: State, found: Observation, others: Sequence[LocalNode]) -> list[str]:
    """Returns the names of those whose machines run, and whose replicas the node does not see."""
    return [each.name for each in others if machine.is_running(state, each) and not found.sees(each)]


def is_cut_off(state: State, found: Observation, others: Sequence[LocalNode]) -> bool:
    """Returns whether a node sees no replica, although a machine with one runs."""
    return not any(found.sees(each) for each in others) and unseen(state, found, others) != []
