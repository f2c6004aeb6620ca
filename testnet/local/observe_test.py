import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from testnet.local import guest_probe, machine, observe, ssh
from testnet.local.observe import Observation, as_json, as_text, observe_all


def answer(nodes, *, seen=(), system="running", stable=True, boot_id="1", slot="A"):
    return {
        "boot_id": boot_id,
        "system": system,
        "failed": [],
        "slots": {"current": slot, "version": "1.0", "stable": stable, "slots": {}},
        "replicas": {node.ip: {"status": "healthy"} if node in seen else None for node in nodes},
    }


@pytest.fixture
def answers(monkeypatch, state, nodes):
    """What ssh prints for a node, by its name; nodes without one do not run."""
    known = {}

    def run(_state, node, arguments, _timeout, script):
        assert arguments[:2] == ["sudo", "python3"]
        assert arguments[4:] == [each.ip for each in nodes[:3]]
        assert script.startswith('"""Runs on a node')
        text = known[node.name]
        found = json.dumps(text) if isinstance(text, dict) else ""
        return ssh.subprocess.CompletedProcess([], 0, found, "" if found else text)

    monkeypatch.setattr(ssh, "run", run)
    monkeypatch.setattr(machine, "is_running", lambda _state, node: node.name in known)
    return known


def test_all_are_up(state, nodes, answers):
    for node in nodes:
        answers[node.name] = answer(nodes, seen=nodes[:3])
    found = observe_all(state, nodes)
    assert [each.is_up for each in found] == [True] * 4
    assert [each.lacks for each in found] == [""] * 4
    first, *_, last = as_json(state, nodes, found)
    assert (first["up"], first["version"], first["replica"], first["sees"]) == (
        True,
        "1.0",
        True,
        ["net.0.1", "net.2.2"],
    )
    assert (last["replica"], last["subnet"], last["does_not_see"]) == (None, None, [])
    assert json.loads(json.dumps(first)) == first


def test_no_more_nodes_are_asked_at_a_time_than_there_are_processors(state, nodes, answers, monkeypatch):
    workers = []

    def pool(count):
        workers.append(count)
        return ThreadPoolExecutor(count)

    monkeypatch.setattr(observe, "ThreadPoolExecutor", pool)
    monkeypatch.setattr(observe.os, "sched_getaffinity", lambda _: {0, 1})
    assert [each.running for each in observe_all(state, nodes)] == [False] * 4
    assert workers == [2]


def test_what_is_missing(state, nodes, answers):
    answers["net.0.0"] = answer(nodes, seen=nodes[1:], system="starting")
    answers["net.0.1"] = answer(nodes, seen=nodes[:1])
    answers["net.2.2"] = "warning\nConnection refused"
    found = observe_all(state, nodes)
    assert [each.lacks for each in found] == [
        "the system is starting",
        "the replica does not respond",
        "Connection refused",
        "its machine does not run",
    ]
    text = as_text(as_json(state, nodes, found))
    assert text.splitlines()[0].split()[:3] == ["NODE", "STATE", "VERSION"]
    assert [line.split()[1] for line in text.splitlines()[1:5]] == ["starting", "starting", "starting", "stopped"]
    assert "net.2.2: Connection refused" in text


def test_a_system_on_trial_is_not_up(nodes):
    found = Observation(nodes[3], running=True, answer=answer(nodes, stable=False))
    assert (found.is_up, found.lacks) == (False, "the running system is not confirmed")


def test_a_system_with_failed_units_is_up(nodes):
    assert Observation(nodes[3], running=True, answer=answer(nodes, system="degraded")).is_up


def test_a_damaged_boot_state(nodes):
    found = Observation(nodes[3], running=True, answer=answer(nodes) | {"slots": None})
    assert (found.version, found.slot, found.is_up) == (None, None, False)


@pytest.fixture
def replica(monkeypatch):
    """A replica at ::1; the test sets what it says."""
    said = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/api/v2/status"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said[0])

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    with Server(("::1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(guest_probe, "_PORT", server.server_port)
        yield said
        server.shutdown()


@pytest.mark.parametrize(("data", "value"), [(b'{"a": 1}', {"a": 1}), (b"\xd9\xd9\xf7\xa1", {}), (b"[1]", {})])
def test_the_probe_asks_replicas(replica, data, value):
    replica.append(data)
    assert guest_probe.replica("::1") == value


def test_the_probe_prints_an_object(capsys, monkeypatch):
    monkeypatch.setattr(guest_probe, "output", lambda *command: f"{command[0]} said\nso")
    monkeypatch.setattr(guest_probe, "_PORT", 1)
    guest_probe.main(["::1"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["replicas"] == {"::1": None}
    assert printed["slots"] is None
    assert printed["failed"] == ["systemctl said", "so"]
    assert len(printed["boot_id"]) == 36


def test_the_probe_is_there():
    assert observe.PROBE.read_text().startswith('"""Runs on a node')
