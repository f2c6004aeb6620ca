"""Fixtures of the tests of deployments on this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from testnet.inventory.deployment import build
from testnet.inventory.sample_inventory import TEXT
from testnet.local.state import PORTS, LocalNode, State, planned


@pytest.fixture
def state(tmp_path: Path) -> State:
    """The folder of a deployment, which does not exist yet."""
    return State(tmp_path / "a b", "net")


@pytest.fixture
def nodes() -> list[LocalNode]:
    """Four nodes, with ports."""
    return [
        dataclasses.replace(node, ports={name: 40000 + 10 * node.index + port for port, name in enumerate(PORTS)})
        for node in planned(build(TEXT, "hosts.ini", "net"))
    ]
