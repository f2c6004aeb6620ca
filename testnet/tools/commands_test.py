import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guestos_tools.options import call
from testnet.inventory.deployment import build
from testnet.inventory.sample_inventory import ONE_HOST, TEXT
from testnet.local import deploy, machine
from testnet.local.rollout import UPGRADED, Record
from testnet.local.state import PORTS, State, planned
from testnet.tools import icos_deploy, icos_destroy, inventory, manage

ROOT = Path(__file__).parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 somebody"


@pytest.fixture
def env(tmp_path, monkeypatch):
    monkeypatch.delenv("HOSTS_INI_FILENAME", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "env"
    (folder / "net").mkdir(parents=True)
    (folder / "net/hosts.ini").write_text(ONE_HOST)
    (folder / "net/other.ini").write_text(TEXT)
    return folder


@pytest.fixture
def called(env, capfd, tmp_path):
    """Calls a command; returns its exit status, output and messages."""

    def called(command, *words):
        with_state = [*words, f"--state={tmp_path}/state"]
        if command is not icos_destroy and command is not manage:
            with_state.append(f"--env={env}")
        status = call(command.PROGRAM, command.main, with_state)
        return status, *capfd.readouterr()

    return called


def test_forms_of_the_inventory(called):
    status, output, _ = called(inventory, "net", "--list")
    assert status == 0
    assert json.loads(output)["nodes"]["children"] == ["nns", "subnet_2", "subnet_unassigned"]
    assert len(called(inventory, "net", "--nodes")[1].splitlines()) == 4
    assert json.loads(called(inventory, "net", "--media-json")[1])["deployment"] == "net"
    assert json.loads(called(inventory, "net", "--host", "net.0.0")[1])["node_index"] == 0
    assert called(inventory, "net", "--ssh-config")[1].count("HostName fd") == 4


def test_another_file(called, monkeypatch):
    addresses = called(inventory, "net", "--nodes", "--hosts-ini=other.ini")[1]
    assert "net.0.1: '2001:db8::5'" in addresses
    monkeypatch.setenv("HOSTS_INI_FILENAME", "other.ini")
    assert called(inventory, "net", "--nodes")[1] == addresses


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (inventory, ["net"], "one of the arguments --list --host --nodes --media-json --ssh-config is required"),
        (inventory, ["net", "--host=h9", "--media-json"], "not allowed with argument"),
        (inventory, ["net", "--host=h9"], "--host: h9: is neither a node nor a physical host"),
        (inventory, ["none", "--list"], "none: there is no folder"),
        (inventory, ["..", "--list"], "..: there is no folder"),
        (inventory, ["net", "--list", "--hosts-ini=no.ini"], "no.ini: cannot be read: No such file"),
        (icos_deploy, ["net"], "--disk: is missing"),
        (icos_deploy, ["net", "--disk=x", "--hosts-ini=other.ini"], "net.0.1: runs on h2"),
        (icos_deploy, ["net", "--disk=x", "--ssh-key=none"], "--ssh-key: none: cannot be read: No such file"),
        (icos_deploy, ["net", "--disk=x", "--git-revision=y"], "unrecognized arguments: --git-revision=y"),
        (icos_destroy, ["../x"], "'../x' is not the name of a deployment"),
        (icos_destroy, [".."], "'..' is not the name of a deployment"),
        (manage, ["status", "net"], "net: is not deployed here; start it with icos_deploy"),
        (manage, ["stop", "net"], "net: is not deployed here"),
        (manage, ["upgrade", "net", "--image=x"], "net: is not deployed here"),
        (manage, ["logs", "net", "0.0"], "net: is not deployed here"),
        (manage, ["console", "net", "0.0"], "net: is not deployed here"),
        (manage, ["upgrade", "net"], "the following arguments are required: --image"),
        (manage, ["dance", "net"], "invalid choice: 'dance'"),
    ],
)
def test_errors_are_one_line(called, command, words, message):
    status, output, errors = called(command, *words)
    assert (status, output) == (2, "")
    assert errors.startswith(f"{command.PROGRAM}: error: ")
    assert message in errors
    assert errors.count("\n") == 1


def test_a_dry_run_starts_nothing(called, tmp_path, monkeypatch):
    (tmp_path / "disk.img").write_bytes(bytes(4096))
    (tmp_path / "key.pub").write_text(KEY)
    monkeypatch.setattr(deploy, "check_programs", lambda: None)
    status, _, errors = called(icos_deploy, "net", f"--disk={tmp_path}/disk.img", "-n", "--ssh-key=key.pub")
    assert (status, errors) == (0, "net: can be deployed, with 4 machines\n")
    assert not (tmp_path / "state").exists()


def test_destroying_nothing_is_no_error(called):
    assert called(icos_destroy, "net") == (0, "", "net: is not deployed here\n")


@pytest.fixture
def deployed(called, state_of, nodes, monkeypatch):
    state_of.make()
    state_of.write_nodes(nodes)
    return state_of


@pytest.fixture
def state_of(tmp_path):
    return State(tmp_path / "state", "net")


@pytest.fixture
def nodes():
    found = planned(build(ONE_HOST, "hosts.ini", "net"))
    return [dataclasses.replace(node, ports=dict.fromkeys(PORTS, 40000)) for node in found]


def test_the_status_of_stopped_machines(called, deployed):
    status, output, errors = called(manage, "status", "net")
    assert (status, errors) == (1, "")
    assert output.count("stopped") == 4
    objects = json.loads(called(manage, "status", "net", "--json")[1])
    assert [each["up"] for each in objects] == [False] * 4


def test_logs_print_the_console(called, deployed, nodes):
    folder = deployed.node_folder(nodes[2])
    folder.mkdir()
    (folder / machine.CONSOLE_LOG).write_text("Debian\n")
    with pytest.raises(SystemExit) as end:
        called(manage, "logs", "net", "2.2")
    assert end.value.code == 0


def test_names_of_nodes(called, deployed):
    status, _, errors = called(manage, "stop", "net", "7.7")
    assert (status, errors.count("\n")) == (2, 1)
    assert "7.7: is no node of net; there are net.0.0, net.0.1, net.2.2, net.x.3" in errors


def test_an_upgrade_is_reported(called, deployed, monkeypatch, tmp_path):
    record = Record(name="net.0.0", subnet="root subnet", result=UPGRADED, after="2.0 in B", started=0, ended=1.5)
    records = [record]
    monkeypatch.setattr(manage, "roll_out", lambda _state, nodes, *_: records if len(nodes) == 1 else [])
    words = ["upgrade", "net", "0.0", "--image=x", "--json", f"--chart={tmp_path}/chart.svg"]
    status, output, _ = called(manage, *words)
    assert status == 0
    assert json.loads(output)[0]["after"] == "2.0 in B"
    assert (tmp_path / "chart.svg").read_text().startswith("<svg ")
    records.append(Record(name="net.2.2", subnet="subnet 2"))
    assert called(manage, *words)[0] == 1


@pytest.mark.parametrize("program", ["icos_deploy", "icos_destroy", "inventory", "manage"])
def test_help(program):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, ROOT / f"testnet/tools/{program}.py", "--help"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.startswith(f"usage: {program} ")
