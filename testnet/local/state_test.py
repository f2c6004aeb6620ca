import fcntl
import json
import os
import shutil
import socket

import pytest

from testnet.local.state import PORTS, State, choose_node, default_root, free_ports, with_free_ports
from tools.core.errors import UserError


def test_nodes_are_kept(state, nodes):
    assert state.nodes() == []
    with pytest.raises(UserError, match="net: is not deployed here"):
        state.deployed_nodes()
    state.make()
    state.write_nodes(nodes)
    assert State(state.folder.parent, "net").deployed_nodes() == nodes


def test_the_folder_is_for_nobody_else(state, nodes):
    state.folder.parent.mkdir()
    previous = os.umask(0)
    try:
        state.make()
        state.write_nodes(nodes)
    finally:
        os.umask(previous)
    assert state.folder.stat().st_mode & 0o777 == 0o700
    assert (state.folder / "deployment.json").stat().st_mode & 0o777 == 0o600


def test_two_commands_do_not_change_a_deployment_at_once(state):
    with state.locked(), pytest.raises(UserError, match="another command changes"), state.locked():
        pass
    with state.locked():
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged; remove the deployment with icos_destroy"),
        ('{"nodes": []}', "is damaged"),
        ('{"format": 1, "nodes": [{"name": "x"}]}', "is damaged"),
        (json.dumps({"format": 9, "nodes": []}), "is of another version"),
    ],
)
def test_a_file_that_is_not_ours_is_an_error(state, text, message):
    state.make()
    (state.folder / "deployment.json").write_text(text)
    with pytest.raises(UserError, match=message):
        state.nodes()


def test_removal_leaves_nothing(tmp_path):
    state = State(tmp_path / "home/rules_icos/testnet", "net")
    with state.locked():
        (state.folder / "net.0.0").mkdir()
        (state.folder / "net.0.0/disk.qcow2").write_text("x")
        state.remove()
    assert list((tmp_path / "home").iterdir()) == []


def test_removal_leaves_folders_that_are_not_ours(tmp_path):
    state = State(tmp_path / "mine/all", "net")
    state.make()
    state.remove()
    assert list((tmp_path / "mine").iterdir()) == []


def test_removal_leaves_other_deployments(tmp_path):
    first, second = State(tmp_path / "root", "one"), State(tmp_path / "root", "two")
    first.make()
    second.make()
    first.remove()
    assert second.folder.is_dir()


def test_the_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "rules_icos/testnet"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(default_root()) == "/home/me/.local/state/rules_icos/testnet"


def test_a_node_is_chosen_by_name(nodes):
    assert [choose_node(nodes, name, "net") for name in ("net.2.2", "2.2", "net-2-2")] == [nodes[2]] * 3
    with pytest.raises(UserError, match=r"2\.9: is no node of net; there are net\.0\.0, "):
        choose_node(nodes, "2.9", "net")


def test_a_deployment_that_is_removed_while_another_command_waits_for_it(state, monkeypatch):
    def flock(file, _operation):
        state.remove()

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match="another command changes this deployment"), state.locked():
        pass


def test_what_an_interrupted_removal_leaves_can_be_removed(state, monkeypatch):
    def interrupted(_path):
        raise KeyboardInterrupt

    with state.locked():
        (state.folder / "net.0.0").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            state.remove()
    with state.locked():
        state.remove()
    assert not state.folder.exists()


def test_ports_that_are_taken_are_replaced(nodes):
    node = nodes[0]
    free = with_free_ports(node, nodes)
    assert set(free.ports) == set(PORTS)
    assert with_free_ports(free, nodes) == free
    with socket.create_server(("127.0.0.1", free.ports["ssh"])):
        assert not set(with_free_ports(free, nodes).ports.values()) & set(free.ports.values())


def test_ports_are_different():
    ports = free_ports(20)
    assert len(set(ports)) == 20
