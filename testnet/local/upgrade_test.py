import collections
import socket
import struct
import subprocess
import urllib.error
import urllib.request

import pytest

from testnet.local import machine, ssh, upgrade
from testnet.local.observe import Observation
from testnet.local.report import (
    COMMITTED,
    CONFIRMED,
    CURRENT,
    DOWNLOADED,
    FAILED,
    FINISHED,
    HALTED,
    INSTALLED,
    INTERRUPTED,
    LOST,
    NOT_TRIED,
    RUNNING,
    STARTED,
    UPGRADED,
)
from testnet.local.rollout import Limits, roll_out, stages
from testnet.local.samples import update_image
from testnet.local.upgrade import offered
from tools.core.errors import UserError

IMAGE = update_image("2.0")


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "update-img.tar.zst"
    path.write_bytes(IMAGE)
    return path


class Fleet:
    """Nodes that answer to SSH as machines do: a commit leads to another boot.

    Attributes:
        behaviour: what a node does that does not upgrade: `refuses` the image, `falls back`, `hangs`, `ends`, is
            `cut off` from the other nodes, or `gets lost` to them by the upgrade, `loses power` while it installs, or
            `was off` when its turn came.
        losses: how often a node that loses its power does so.
        back_after: how often a node that has ended is asked in vain.
        downloaded: what each node got by HTTP.
    """

    def __init__(self, nodes):
        self.behaviour = {}
        self.downloaded = {}
        self.scripts = []
        self.missed = collections.Counter()
        self.losses = 1
        self.back_after = float("inf")
        self.state = {node.name: ("A", "1.0", 1) for node in nodes}

    def run(self, _state, node, arguments, timeout, script=""):
        assert arguments[:3] == ["sudo", "-u", "ic-replica"]
        behaviour = self.behaviour.get(node.name)
        if "upgrade-install" in script:
            self.scripts.append(script)
            url = next(word for word in script.split() if word.startswith("http://"))
            with urllib.request.urlopen(url.replace("10.0.2.2", "127.0.0.1")) as response:
                self.downloaded[node.name] = response.read()
            if behaviour == "loses power" and self.losses > 0:
                self.losses -= 1
                self.missed[node.name] = 0
                slot, version, boot = self.state[node.name]
                self.state[node.name] = (slot, version, boot + 1)
                return subprocess.CompletedProcess([], 255, "", "")
            if behaviour == "refuses":
                return subprocess.CompletedProcess([], 4, "", "checking\nmanageboot.sh: its signature is wrong\n")
        else:
            assert arguments[3:] == ["sh", "-c", "'/opt/ic/bin/manageboot.sh upgrade-commit'"]
            slot, _, boot = self.state[node.name]
            if behaviour == "falls back":
                self.state[node.name] = (slot, "1.0", boot + 2)
            elif behaviour != "hangs":
                version = "1.9" if behaviour == "other version" else "2.0"
                self.state[node.name] = ("B" if slot == "A" else "A", version, boot + 1)
            if behaviour == "interrupts":
                raise KeyboardInterrupt
        return subprocess.CompletedProcess([], 0, "", "")

    def observe(self, _state, node, nodes):
        slot, version, boot = self.state[node.name]
        behaviour = self.behaviour.get(node.name)
        if behaviour == "was off" or (behaviour in ("ends", "loses power") and node.name in self.downloaded):
            self.missed[node.name] += 1
            if self.missed[node.name] < self.back_after:
                return Observation(node, running=False)
        is_cut_off = behaviour == "cut off" or (behaviour == "gets lost" and version == "2.0")
        answer = {
            "boot_id": str(boot),
            "system": "starting" if behaviour == "starts" else "running",
            "slots": {"current": slot, "version": version, "stable": True},
            "replicas": {each.ip: {} for each in nodes if each == node or not is_cut_off},
        }
        return Observation(node, running=True, answer=answer)


@pytest.fixture
def fleet(monkeypatch, state, nodes):
    with state.locked():
        state.write_nodes(nodes)
    fleet = Fleet(nodes)
    monkeypatch.setattr(ssh, "run", fleet.run)
    monkeypatch.setattr(upgrade, "observe", fleet.observe)
    monkeypatch.setattr(upgrade, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(upgrade, "_LINK_SECONDS", 0.05)
    monkeypatch.setattr(machine, "is_running", lambda *_: True)
    return fleet


def test_the_order_of_subnets(nodes):
    assert [[node.name for node in stage] for stage in stages(nodes)] == [
        ["net.x.3"],
        ["net.2.2"],
        ["net.0.0", "net.0.1"],
    ]


def test_all_nodes_are_upgraded(state, nodes, image, fleet):
    said = []
    saved = []
    run = roll_out(state, nodes, image, Limits(60), said.append, save=lambda run: saved.append(run.result))
    records = run.nodes
    assert [(each.name, each.result, each.before, each.after) for each in records] == [
        (name, UPGRADED, "1.0 in A", "2.0 in B") for name in ("net.x.3", "net.2.2", "net.0.0", "net.0.1")
    ]
    assert fleet.downloaded == dict.fromkeys((node.name for node in nodes), IMAGE)
    assert [message.partition(":")[0] for message in said[:4]] == ["net.x.3"] * 3 + ["net.2.2"]
    steps = [step for each in records for step in each.steps]
    assert [step.what for step in steps] == [STARTED, DOWNLOADED, INSTALLED, COMMITTED, CONFIRMED] * 4
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert (run.result, run.version, run.sent, run.size) == (FINISHED, "2.0", 4 * len(IMAGE), len(IMAGE))
    assert saved == [RUNNING] * (1 + 20) + [FINISHED]
    digest = subprocess.run(["sha256sum", image], capture_output=True, text=True, check=True).stdout.split()[0]
    assert f'echo "{digest}  /var/lib/ic/data/images/image.bin" | sha256sum --check' in fleet.scripts[0]


@pytest.mark.parametrize(
    ("behaviour", "message", "timeout"),
    [
        ("refuses", "net.2.2: upgrade-install: exit status 4: manageboot.sh: its signature is wrong", 60),
        ("falls back", "net.2.2: fell back to version 1.0", 60),
        ("hangs", "net.2.2: not upgraded within 0 s: it has not rebooted", 0.05),
        ("ends", "net.2.2: not upgraded within 0 s: its machine does not run", 0.05),
        ("other version", "net.2.2: runs version 1.9, and the image has 2.0", 60),
        ("starts", "net.2.2: is not up within 0 s, so it is not upgraded: the system is starting", 0.05),
        ("was off", "net.2.2: is not up within 0 s, so it is not upgraded: its machine does not run", 0.05),
        ("loses power", "net.2.2: is not up within 0 s, so it is not upgraded: its machine does not run", 0.05),
        ("cut off", "net.2.2: is not upgraded, since it sees no replica of the other nodes: net.0.0, net.0.1", 60),
        ("gets lost", "net.2.2: not upgraded within 0 s: it does not see the replica of net.0.0, net.0.1", 0.05),
    ],
)
def test_a_failure_halts_the_roll_out(state, nodes, image, fleet, behaviour, message, timeout):
    fleet.behaviour["net.2.2"] = behaviour
    said = []
    run = roll_out(state, nodes, image, Limits(timeout), said.append)
    records = run.nodes
    assert [each.result for each in records] == [UPGRADED, FAILED, NOT_TRIED, NOT_TRIED]
    assert (run.result, records[1].steps[-1].what) == (HALTED, FAILED)
    assert records[1].problem.startswith(message)
    assert said[-1].startswith("halted: 2 nodes keep their system")
    assert [fleet.state[name][1] for name in ("net.0.0", "net.0.1")] == ["1.0", "1.0"]
    assert set(fleet.downloaded) <= {"net.x.3", "net.2.2"}


def test_nodes_whose_machines_do_not_run_need_not_be_seen(state, nodes, image, fleet, monkeypatch):
    fleet.behaviour["net.2.2"] = "cut off"
    others = {"net.0.0", "net.0.1"}
    asked = [node for node in nodes if node.name not in others]
    monkeypatch.setattr(machine, "is_running", lambda _, node: node.name not in others)
    assert [each.result for each in roll_out(state, asked, image, Limits(60), lambda _: None).nodes] == [UPGRADED] * 2


def test_failures_that_are_tolerated(state, nodes, image, fleet):
    fleet.behaviour = {"net.2.2": "refuses", "net.0.0": "refuses"}
    run = roll_out(state, nodes, image, Limits(60, 1), lambda _: None)
    assert [each.result for each in run.nodes] == [UPGRADED, FAILED, FAILED, UPGRADED]
    assert run.result == FINISHED


def test_the_same_command_goes_on_after_a_halt(state, nodes, image, fleet):
    fleet.behaviour["net.2.2"] = "refuses"
    roll_out(state, nodes, image, Limits(60), lambda _: None)
    fleet.behaviour.clear()
    fleet.downloaded.clear()
    said = []
    run = roll_out(state, nodes, image, Limits(60), said.append)
    assert [each.result for each in run.nodes] == [CURRENT, UPGRADED, UPGRADED, UPGRADED]
    assert (run.nodes[0].before, run.nodes[0].after) == ("2.0 in B", "2.0 in B")
    assert "net.x.3" not in fleet.downloaded
    assert said[0] == "net.x.3: has version 2.0 already"


def test_an_interrupt_is_recorded(state, nodes, image, fleet):
    fleet.behaviour["net.2.2"] = "interrupts"
    saved = []
    with pytest.raises(KeyboardInterrupt):
        roll_out(state, nodes, image, Limits(60), lambda _: None, save=saved.append)
    run = saved[-1]
    assert (run.result, [each.result for each in run.nodes]) == (INTERRUPTED, [UPGRADED, RUNNING, NOT_TRIED, NOT_TRIED])
    fleet.behaviour.clear()
    assert roll_out(state, nodes, image, Limits(60), lambda _: None).result == FINISHED


def test_a_machine_that_comes_back_is_waited_for(state, nodes, image, fleet):
    fleet.behaviour["net.2.2"] = "ends"
    fleet.back_after = 3
    said = []
    run = roll_out(state, nodes, image, Limits(60), said.append)
    assert [each.result for each in run.nodes] == [UPGRADED] * 4
    assert [step.what for step in run.nodes[1].steps][-3:] == [COMMITTED, LOST, CONFIRMED]
    assert sum("the machine has ended; icos_deploy starts it" in each for each in said) == 1


@pytest.mark.parametrize(
    ("behaviour", "steps"),
    [
        ("was off", [STARTED, LOST, STARTED, DOWNLOADED, INSTALLED, COMMITTED, CONFIRMED]),
        ("loses power", [STARTED, DOWNLOADED, LOST, STARTED, DOWNLOADED, INSTALLED, COMMITTED, CONFIRMED]),
    ],
)
def test_a_machine_that_is_lost_before_it_has_installed_is_waited_for(state, nodes, image, fleet, behaviour, steps):
    fleet.behaviour["net.2.2"] = behaviour
    fleet.back_after = 3
    said = []
    run = roll_out(state, nodes, image, Limits(60), said.append)
    assert [each.result for each in run.nodes] == [UPGRADED] * 4
    assert [step.what for step in run.nodes[1].steps] == steps
    assert (run.nodes[1].before, run.nodes[1].after) == ("1.0 in A", "2.0 in B")
    assert said.count("net.2.2: the machine has ended; icos_deploy starts it, and this command waits for it") == 1


def test_a_machine_that_always_ends_when_it_installs_halts_the_roll_out(state, nodes, image, fleet):
    fleet.behaviour["net.2.2"] = "loses power"
    fleet.losses, fleet.back_after = 99, 2
    run = roll_out(state, nodes, image, Limits(60), lambda _: None)
    assert (run.result, run.nodes[1].problem) == (HALTED, "net.2.2: upgrade-install: exit status 255: no message")
    assert fleet.losses == 99 - 3


def test_machines_may_be_stopped_and_started_meanwhile_but_not_upgraded(state, nodes, image, fleet):
    def save(_run):
        with state.locked():
            pass
        with pytest.raises(UserError, match="another command changes this deployment"):
            roll_out(state, nodes, image, Limits(60), lambda _: None)

    assert roll_out(state, nodes, image, Limits(60), lambda _: None, save=save).result == FINISHED


def test_nodes_that_do_not_run_are_not_upgraded(state, nodes, image, fleet, monkeypatch):
    monkeypatch.setattr(machine, "is_running", lambda _, node: node.name != "net.2.2")
    with pytest.raises(UserError, match=r"net\.2\.2: does not run; start it with icos_deploy"):
        roll_out(state, nodes, image, Limits(60), lambda _: None)
    assert fleet.downloaded == {}


def test_an_image_that_is_missing(state, nodes, fleet, tmp_path):
    with pytest.raises(UserError, match="none: cannot be read: No such file"):
        roll_out(state, nodes, tmp_path / "none", Limits(60), lambda _: None)
    (tmp_path / "text").write_text("text")
    with pytest.raises(UserError, match="text: is not an update image"):
        roll_out(state, nodes, tmp_path / "text", Limits(60), lambda _: None)
    assert fleet.downloaded == {}


def test_an_image_that_is_replaced_meanwhile(image):
    with offered(image) as offer:
        image.unlink()
        image.write_bytes(b"another build")
        with urllib.request.urlopen(offer.url.replace("10.0.2.2", "127.0.0.1")) as response:
            assert response.read() == IMAGE


def test_a_machine_that_ends_in_its_download(image, capfd):
    with offered(image) as offer:
        port = int(offer.url.split(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"GET /{offer.digest} HTTP/1.0\r\n\r\n".encode())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.recv(100)
        with urllib.request.urlopen(offer.url.replace("10.0.2.2", "127.0.0.1")) as response:
            assert response.read() == IMAGE
    assert capfd.readouterr().err == ""


def test_nothing_else_is_offered(image):
    with offered(image) as offer:
        url = offer.url.replace("10.0.2.2", "127.0.0.1").removesuffix(offer.digest)
        for path in ("", "update-img.tar.zst", "../etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(url + path)


@pytest.mark.parametrize("status", [0, 23])
def test_the_script_stops_at_a_wrong_image_and_removes_it(tmp_path, status):
    """Runs the script with programs of a folder in the places of the machine's."""
    script = upgrade._INSTALL.format(image=tmp_path / "image.bin", url="http://x/y", digest="0" * 64)
    script = script.replace("/opt/ic/bin/manageboot.sh", str(tmp_path / "manageboot.sh"))
    curl = f"echo data >{tmp_path}/image.bin; exit {status}"
    for name, text in {"curl": curl, "manageboot.sh": f"touch {tmp_path}/called"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    result = subprocess.run(["sh", "-s"], input=script, text=True, env=environment, capture_output=True, check=False)
    assert result.returncode != 0
    assert not (tmp_path / "called").exists()
    assert not (tmp_path / "image.bin").exists()
