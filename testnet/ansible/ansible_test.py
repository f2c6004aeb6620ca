"""Ansible reads the inventories as we do: the files, and what the command `inventory` prints."""

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from testnet.inventory.deployment import build
from testnet.inventory.ini import parse
from testnet.inventory.output import host_variables, plain
from testnet.inventory.sample_inventory import LOCAL, ONE_HOST, TEXT

# Ansible makes a folder for its own files when it is imported; this one is removed at the end of the process.
HOME = tempfile.TemporaryDirectory()
os.environ["ANSIBLE_HOME"] = HOME.name

# By name, since Ansible has no types.
InventoryManager = import_module("ansible.inventory.manager").InventoryManager
DataLoader = import_module("ansible.parsing.dataloader").DataLoader

ROOT = Path(__file__).parents[2]
FILES = {path.parent.name: path.read_text() for path in sorted((ROOT / "testnet/env").glob("*/hosts.ini"))}
INVENTORIES = [("net", TEXT), ("net", LOCAL), ("net", ONE_HOST), *FILES.items()]

LITERALS = """\
[nns]
a number=1 hexadecimal=0x10 float=1.5 yes=True lower=true quoted="1" words='x y' empty="" other=x  # a comment
[nns:vars]
number=1
quoted="1"
text=x
words="x y"
truth=False
"""


def read(path):
    manager = InventoryManager(loader=DataLoader(), sources=[str(path)])
    assert manager.hosts, f"Ansible refuses {path}"
    return manager


def variables(entity):
    return {
        name: value for name, value in entity.get_vars().items() if not name.startswith(("inventory_", "group_names"))
    }


@pytest.mark.parametrize(("name", "text"), INVENTORIES)
def test_ansible_reads_the_file_as_we_do(tmp_path, name, text):
    path = tmp_path / "hosts.ini"
    path.write_text(text)
    manager = read(path)
    deployment = build(text, str(path), name)
    assert set(manager.hosts) == {each.name for each in (*deployment.nodes, *deployment.hosts)}
    for group, ours in deployment.groups.items():
        theirs = manager.groups[group]
        assert [host.name for host in theirs.hosts] == [entry.name for entry in ours.hosts or []]
        assert [child.name for child in theirs.child_groups] == [entry.name for entry in ours.children or []]
        assert variables(theirs) == plain(ours.variables)
        for entry in ours.hosts or []:
            assert variables(manager.hosts[entry.name]) == plain(entry.variables)


def test_ansible_takes_the_same_values_for_literals(tmp_path):
    path = tmp_path / "hosts.ini"
    path.write_text(LITERALS)
    manager = read(path)
    group = parse(LITERALS, "hosts.ini")["nns"]
    ours = plain(group.hosts[0].variables)
    theirs = variables(manager.hosts["a"])
    assert theirs == ours
    assert all(isinstance(theirs[name], type(value)) for name, value in ours.items())
    assert variables(manager.groups["nns"]) == plain(group.variables)


@pytest.mark.parametrize("name", FILES)
def test_ansible_takes_the_command_as_an_inventory(tmp_path, name):
    script = tmp_path / "hosts"
    path = os.pathsep.join(filter(None, sys.path))
    command = f'{sys.executable} -m testnet.tools.inventory {name} --env={ROOT}/testnet/env "$@"'
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec {command}\n')
    script.chmod(0o755)
    manager = read(script)
    deployment = build(FILES[name], "hosts.ini", name)
    for node in deployment.nodes:
        assert variables(manager.hosts[node.name]) == host_variables(deployment, node.name)
    nodes = manager.get_hosts("nodes")
    assert [host.name for host in nodes] == [node.name for node in deployment.nodes]
