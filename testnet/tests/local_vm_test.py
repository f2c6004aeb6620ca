"""Two machines of the dev image: deployed by the command, seen by each other, one of them lost, all of it removed."""

import json
import shutil
from pathlib import Path

import pytest

from guestos_tools.options import call
from testnet.local import machine, process, ssh
from testnet.local.observe import observe
from testnet.local.state import State
from testnet.tools import icos_deploy, icos_destroy, manage
from tools.testing.machines import emulator
from tools.testing.oracles import oracle

INVENTORY = """\
[nns]
two.0.0 ic_host="localhost"
[subnet_1]
two.1.1 ic_host="localhost"
[nodes:children]
nns
subnet_1
[physical_hosts]
localhost ansible_connection=local ic_cores=1 ic_memory_gb=1 ic_disk_gb=50
"""
SECONDS = 900


@pytest.fixture
def env(tmp_path):
    oracle("qemu-img")
    oracle("ssh")
    emulator()
    folder = tmp_path / "env/two"
    folder.mkdir(parents=True)
    (folder / "hosts.ini").write_text(INVENTORY)
    return folder.parent


@pytest.fixture
def state(tmp_path, env, artifacts):
    state = State(tmp_path / "state", "two")
    yield state
    for log in state.folder.glob("*/*.log"):
        shutil.copyfile(log, artifacts / f"{log.parent.name}-{log.name}")
    assert call(icos_destroy.PROGRAM, icos_destroy.main, ["two", f"--state={state.folder.parent}"]) == 0


def test_two_machines(env, state, capfd):
    place = f"--state={state.folder.parent}"
    words = ["two", f"--env={env}", place, "--json", f"--timeout={SECONDS}"]
    status = call(icos_deploy.PROGRAM, icos_deploy.main, words)
    output, messages = capfd.readouterr()
    assert status == 0, messages
    first, second = json.loads(output)
    assert (first["sees"], second["sees"]) == (["two.1.1"], ["two.0.0"])
    assert [each["failed_units"] for each in (first, second)] == [[], []]
    assert [each["slot"] for each in (first, second)] == ["A", "A"]

    # Each is reached by its name, and has the name and the address of the inventory.
    nodes = state.deployed_nodes()
    for node in nodes:
        command = "hostname; ip -6 -brief address show scope global"
        result = ssh.run(state, node, [command], SECONDS)
        assert result.stdout.splitlines()[0] == node.hostname, result
        assert node.address in result.stdout

    # Without its power the second one is gone, and the first one goes on.
    assert call(manage.PROGRAM, manage.main, ["stop", "two", "1.1", "--power-cut", place]) == 0
    assert call(manage.PROGRAM, manage.main, ["status", "two", place]) == 1
    found = observe(state, nodes[0], nodes)
    assert (found.is_up, found.sees(nodes[0]), found.sees(nodes[1])) == (True, True, False)

    pids = [machine.pid(state, nodes[0]), process.find(state.link_pid)]
    assert call(icos_destroy.PROGRAM, icos_destroy.main, ["two", place]) == 0
    assert [process.identify(pid) for pid in pids] == [None, None]
    assert not Path(state.folder).exists()
