import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from testnet.inventory.deployment import build
from testnet.inventory.sample_inventory import ONE_HOST, TEXT
from testnet.local import deploy, link, machine, process, samples
from testnet.local.deploy import Request
from testnet.local.observe import Observation
from testnet.local.state import UPGRADE_LOCK
from testnet.local.waiting import wait_for
from tools.core.errors import UserError
from tools.testing.oracles import oracle
from tools.vm.firmware import Firmware
from tools.vm.qemu import Qemu

FAKE = Path(__file__).with_name("fake_qemu.py")
SECONDS = 60


@pytest.fixture
def machines(monkeypatch, tmp_path):
    """Runs a small program instead of QEMU; returns the list of messages."""
    oracle("qemu-img")
    oracle("ssh")
    program = tmp_path / "qemu"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    program.chmod(0o755)
    programs = machine.Programs(Qemu(str(program), (11, 0)), Firmware("/code.fd"), "tcg,thread=multi")
    monkeypatch.setattr(machine, "find_programs", lambda: programs)
    monkeypatch.setattr(deploy, "check_programs", lambda: None)
    return []


@pytest.fixture
def request_(tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(samples.disk())
    return Request(deployment=build(ONE_HOST, "hosts.ini", "net"), disk=str(disk), keys="ssh-ed25519 AAAA me\n")


@pytest.fixture
def deployed(state, request_, machines):
    nodes = deploy.deploy(state, request_, machines.append)
    yield nodes
    if state.folder.exists():
        deploy.remove(state)


def running(state, nodes):
    return [node.name for node in nodes if machine.is_running(state, node)]


def pids(state, nodes):
    return [machine.pid(state, node) for node in nodes]


def test_all_machines_run(state, deployed, machines):
    assert running(state, deployed) == ["net.0.0", "net.0.1", "net.2.2", "net.x.3"]
    assert state.nodes() == deployed
    assert process.find(state.link_pid) is not None
    ports = [port for node in deployed for port in node.ports.values()]
    assert len(set(ports)) == len(ports)
    assert [message for message in machines if message.startswith("net.2.2: started (tcg), console in ")]
    assert state.disk.read_bytes() == samples.disk()
    for path in [state.disk, *(state.node_folder(node) / machine.MEDIUM for node in deployed)]:
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_deployment_changes_nothing(state, deployed, request_, machines):
    before = pids(state, deployed)
    machines.clear()
    assert deploy.deploy(state, request_, machines.append) == deployed
    assert pids(state, deployed) == before
    assert machines == []


def test_a_machine_that_ended_is_started_again_with_its_disk(state, deployed, request_, machines):
    first, second, *_ = before = pids(state, deployed)
    disk = state.node_folder(deployed[1]) / machine.DISK
    content = disk.read_bytes()
    deploy.stop(state, [deployed[1]], 0, machines.append)
    assert process.identify(second) is None
    assert deploy.deploy(state, request_, machines.append) == deployed
    after = pids(state, deployed)
    assert (after[0], after[1] != second, after[2:]) == (first, True, before[2:])
    assert disk.read_bytes() == content


def test_a_node_that_is_new_in_the_inventory(state, deployed, request_, machines):
    text = ONE_HOST.replace("net.x.3", 'net.x.9 ic_host="h1"\nnet.x.3')
    nodes = deploy.deploy(state, Request(deployment=build(text, "hosts.ini", "net"), disk="/nowhere"), machines.append)
    assert (
        [node.name for node in nodes]
        == running(state, nodes)
        == [*(n.name for n in deployed[:3]), "net.x.9", "net.x.3"]
    )


def test_the_link_takes_frames_of_a_node_that_is_new(state, deployed, request_, machines, monkeypatch):
    text = ONE_HOST.replace("net.x.3", 'net.x.9 ic_host="h1"\nnet.x.3')
    request = Request(deployment=build(text, "hosts.ini", "net"), disk="/nowhere")
    nodes = {node.name: node for node in deploy.deploy(state, request, machines.append)}
    assert [message for message in machines if message.startswith("there are new nodes; those")]
    monkeypatch.chdir(state.folder)
    macs = {name: bytes.fromhex(node.mac.replace(":", "")) for name, node in nodes.items()}
    with contextlib.ExitStack() as sockets:
        ends = [sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) for _ in range(2)]
        for end, name in zip(ends, ("net.x.9", "net.0.0"), strict=True):
            end.bind(link.machine_socket(name))
            end.settimeout(SECONDS)
        frame = macs["net.0.0"] + macs["net.x.9"] + b"data"
        ends[0].sendto(frame, link.SOCKET)
        assert ends[1].recv(100) == frame


def test_a_port_that_another_program_took(state, deployed, request_, machines):
    deploy.stop(state, deployed[:1], 0, machines.append)
    with socket.create_server(("127.0.0.1", deployed[0].ports["dashboard"])):
        nodes = deploy.deploy(state, request_, machines.append)
    assert not set(nodes[0].ports.values()) & {port for node in deployed for port in node.ports.values()}
    assert nodes[1:] == deployed[1:]
    assert state.nodes() == nodes
    assert f"Port {nodes[0].ports['ssh']}\n" in (state.ssh_folder / "config").read_text()
    assert "net.0.0: gets other ports, since another program uses one of its own" in machines


def test_a_deployment_that_another_command_made_meanwhile_is_not_written_again(state, request_, machines, monkeypatch):
    """The second command looks before the first one writes, and locks after it has ended."""
    check = deploy.check

    def check_and_deploy(*arguments):
        check(*arguments)
        monkeypatch.setattr(deploy, "check", check)
        first.extend(deploy.deploy(*arguments, machines.append))
        first.append(state.disk.stat().st_ino)

    first = []
    monkeypatch.setattr(deploy, "check", check_and_deploy)
    try:
        nodes = deploy.deploy(state, request_, machines.append)
        assert [*nodes, state.disk.stat().st_ino] == first
        assert len([message for message in machines if "started" in message]) == 4
    finally:
        deploy.remove(state)


def test_a_folder_with_other_files_is_left_alone(state, request_, machines):
    state.folder.mkdir(parents=True)
    (state.folder / "letter").write_text("dear")
    with pytest.raises(UserError, match=r"net: has files that are not a deployment's; give another --state"):
        deploy.destroy(state, machines.append)
    with pytest.raises(UserError, match=r"net: has files that are not a deployment's"):
        deploy.deploy(state, request_, machines.append)
    assert [path.name for path in state.folder.iterdir()] == ["letter"]


def test_a_deployment_that_was_killed_before_its_nodes_were_written(state, request_, machines):
    with state.locked():
        state.disk.write_bytes(b"a part of")
    assert len(running(state, deploy.deploy(state, request_, machines.append))) == 4
    assert state.disk.read_bytes() == samples.disk()
    deploy.destroy(state, machines.append)
    assert not state.folder.exists()


def test_an_upgrade_keeps_a_deployment_from_being_destroyed(state, deployed, machines):
    with state.locked(UPGRADE_LOCK), pytest.raises(UserError, match="another command changes this deployment"):
        deploy.destroy(state, machines.append)
    assert len(running(state, deployed)) == 4


def test_an_interrupt_leaves_nothing(state, request_, machines, tmp_path):
    """The third machine takes long to start; the command is interrupted then."""
    code = (
        "import sys, pathlib\n"
        "from testnet.local import deploy, machine\n"
        "from testnet.local.deploy import Request\n"
        "from testnet.local.state import State\n"
        "from testnet.inventory.deployment import build\n"
        "from tools.vm.firmware import Firmware\n"
        "from tools.vm.qemu import Qemu\n"
        "from tools.core.exit_status import exit_at_sigterm\n"
        "root, disk, program, text = sys.argv[1:]\n"
        "programs = machine.Programs(Qemu(program, (11, 0)), Firmware('/code.fd'), 'tcg')\n"
        "machine.find_programs, deploy.check_programs = lambda: programs, lambda: None\n"
        "exit_at_sigterm()\n"
        "request = Request(deployment=build(text, 'hosts.ini', 'net'), disk=disk)\n"
        "deploy.deploy(State(pathlib.Path(root), 'net'), request, lambda text: print(text, flush=True))\n"
    )
    program = tmp_path / "qemu"
    program.write_text(
        program.read_text().replace("\nexec ", '\ncase "$*" in *net.2.2*) exec sleep 1000;; esac\nexec ')
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    words = [sys.executable, "-c", code, state.folder.parent, request_.disk, program, ONE_HOST]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as command:
        assert any(line.startswith("net.0.1: started") for line in command.stdout)
        assert wait_for((state.folder / "net.2.2/qemu.pid").exists, SECONDS)
        command.terminate()
        assert command.wait(SECONDS) == 143
    assert not state.folder.exists()
    assert not [path for path in Path("/proc").glob("[0-9]*/cwd") if is_in(path, state.folder)]


def test_a_node_that_changed_is_refused(state, deployed, request_, machines):
    text = ONE_HOST.replace("ic_memory_gb=0.75", "ic_memory_gb=1")
    with pytest.raises(UserError, match=r"^hosts\.ini: net\.0\.0: was deployed otherwise; destroy"):
        deploy.deploy(state, Request(deployment=build(text, "hosts.ini", "net"), disk=""), machines.append)
    assert len(running(state, deployed)) == 4


def test_stop_shuts_down(state, deployed, machines):
    deploy.stop(state, deployed[:2], SECONDS, machines.append)
    assert running(state, deployed) == ["net.2.2", "net.x.3"]
    assert process.find(state.link_pid) is not None
    machines.clear()
    deploy.stop(state, deployed, SECONDS, machines.append)
    assert machines == ["net.0.0: was not running", "net.0.1: was not running", "net.2.2: stopped", "net.x.3: stopped"]
    assert process.find(state.link_pid) is None


def test_a_machine_that_ignores_the_button_loses_its_power(state, deployed, machines):
    (state.node_folder(deployed[0]) / "ignores-power").touch()
    deploy.stop(state, deployed[:1], 0.5, machines.append)
    assert running(state, deployed) == ["net.0.1", "net.2.2", "net.x.3"]


def test_cables_are_plugged_in_and_out(state, deployed):
    asked = state.node_folder(deployed[1]) / "set_link"
    machine.plug(state, deployed[1], link.CARD, is_in=False)
    assert json.loads(asked.read_text()) == {"name": "link", "up": False}
    machine.plug(state, deployed[1], machine.OUTSIDE, is_in=True)
    assert json.loads(asked.read_text()) == {"name": "outside", "up": True}


def test_destroy_leaves_nothing(state, deployed, machines):
    numbers = [*pids(state, deployed), process.find(state.link_pid)]
    deploy.destroy(state, machines.append)
    assert [process.identify(number) for number in numbers] == [None] * 5
    assert not state.folder.exists()
    deploy.destroy(state, machines.append)
    assert machines[-1] == "net: is not deployed here"


def test_destroy_works_on_a_damaged_deployment(state, deployed, machines):
    numbers = pids(state, deployed)
    (state.folder / "deployment.json").write_text("{")
    deploy.destroy(state, machines.append)
    assert [process.identify(number) for number in numbers] == [None] * 4


def test_a_bad_request_starts_and_writes_nothing(state, machines, tmp_path):
    request = Request(deployment=build(TEXT, "hosts.ini", "net"), disk=str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"net.0.1: runs on h2, and other nodes on this machine .*; make two"):
        deploy.deploy(state, request, machines.append)
    request = Request(deployment=build(ONE_HOST, "hosts.ini", "net"), disk=str(tmp_path / "none"))
    with pytest.raises((UserError, FileNotFoundError), match="none"):
        deploy.deploy(state, request, machines.append)
    with pytest.raises((UserError, FileNotFoundError), match="none"):
        deploy.check(state, request)
    assert not state.folder.exists()
    assert machines == []


def test_a_failed_start_leaves_nothing(state, request_, machines, tmp_path):
    program = tmp_path / "qemu"
    text = program.read_text()
    program.write_text(text.replace("\nexec ", '\ncase "$*" in *net.2.2*) echo no >&2; exit 1;; esac\nexec '))
    with pytest.raises(UserError, match=r"net\.2\.2: QEMU does not start: no"):
        deploy.deploy(state, request_, machines.append)
    assert not state.folder.exists()
    assert not [path for path in Path("/proc").glob("[0-9]*/cwd") if is_in(path, state.folder)]


def is_in(path, folder):
    try:
        return os.readlink(path).startswith(str(folder))
    except OSError:
        return False


def test_waiting(state, nodes, monkeypatch, machines):
    def observed(*_):
        lacking = rounds.pop(0)
        return [Observation(node, running=True) if node.name in lacking else Up(node, running=True) for node in nodes]

    class Up(Observation):
        __slots__ = ()
        is_up = True
        version = "1.0"

        def sees(self, other):
            return other.name not in unseen

    monkeypatch.setattr(deploy, "observe_all", observed)
    monkeypatch.setattr(deploy, "_PAUSE_SECONDS", 0)
    unseen = []
    rounds = [["net.0.0", "net.2.2"], ["net.2.2"], []]
    deploy.wait_until_up(state, nodes, SECONDS, machines.append)
    assert [message.partition(":")[0] for message in machines] == ["net.0.1", "net.x.3", "net.0.0", "net.2.2"]
    rounds = [["net.2.2"]]
    with pytest.raises(UserError, match=r"^not up within 0 s: net\.2\.2 \(SSH does not answer\); the machines go on"):
        deploy.wait_until_up(state, nodes, 0, machines.append)
    rounds, unseen = [[]], ["net.2.2"]
    with pytest.raises(UserError, match=r"net\.0\.0 \(gets no answer of the replica of net\.2\.2\), net\.0\.1"):
        deploy.wait_until_up(state, nodes, 0, machines.append)


def test_a_machine_that_ends_while_it_is_waited_for(state, nodes, monkeypatch, machines):
    monkeypatch.setattr(deploy, "observe_all", lambda *_: [Observation(node, running=False) for node in nodes[:1]])
    with pytest.raises(UserError, match=r"net\.0\.0: the machine has ended; its console is in "):
        deploy.wait_until_up(state, nodes, SECONDS, machines.append)
