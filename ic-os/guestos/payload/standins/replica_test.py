import http.client
import json
import os
import signal
import socket
import subprocess

import pytest

from sample_node import Node, wait_for

MAIN = "from pathlib import Path; from standins.replica import main; main(programs=Path({!r}))"


@pytest.fixture
def node(tmp_path):
    result = Node(tmp_path)
    (tmp_path / "cup").write_text("1\n")
    yield result
    result.end()


def flags(node, **other):
    values = {
        "replica-version": "1.2",
        "config-file": node.config,
        "catch-up-package": node.root / "cup",
        "force-subnet": "s",
    }
    return [f"--{name}={value}" for name, value in (values | other).items() if value is not None]


def main(node):
    return MAIN.format(str(node.root / "bin"))


def start(node):
    process = node.start(main(node), *flags(node))
    line = process.stdout.readline()
    while "not a program" not in line and line:
        line = process.stdout.readline()
    assert "not a program of the Internet Computer; version 1.2, listening at ::1" in line, process.stderr.read()
    return process


def get(port, path):
    connection = http.client.HTTPConnection("::1", port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def status(node, path="/status"):
    code, body = get(node.api, path)
    assert code == 200
    return json.loads(body)


def adapters(node):
    values = '{"logger": {"format": "json", "level": "info"}}'
    bitcoin = '{"network": "%s", "dns_seeds": ["seed"], "logger": {"format": "json", "level": "info"}}'
    for name, program, unit, text in (
        ("https", "https_outcalls", "ic-https-outcalls-adapter", values),
        ("mainnet", "bitcoin", "ic-btc-mainnet-adapter", bitcoin % "bitcoin"),
        ("testnet", "bitcoin", "ic-btc-testnet-adapter", bitcoin % "testnet"),
    ):
        path = node.root / name
        path.write_text(text)
        code = f"from standins.adapters import {program}; {program}()"
        names = f"{unit}.socket:{unit}.socket"
        process = node.activate(code, path, sockets=[name, f"{name}-metrics"], names=names)
        assert "serves" in process.stdout.readline()


def test_is_healthy_with_everything_that_it_uses(node):
    node.vault()
    adapters(node)
    start(node)
    found = status(node)
    assert found.pop("uptime_seconds") >= 0
    assert found == {
        "status": "healthy",
        "problems": [],
        "version": "1.2",
        "subnet": "s",
        "implementation": "stand-in of the reference payload; not a program of the Internet Computer",
    }
    assert status(node, "/api/v2/status")["status"] == "healthy"
    assert get(node.api, "/version") == (200, "1.2\n")
    assert get(node.api, "/")[0] == 404
    code, metrics = get(node.metrics, "/metrics")
    assert (code, metrics.splitlines()[0]) == (200, 'stand_in_replica_info{version="1.2"} 1')
    assert "\nprocess_resident_memory_bytes " in metrics


def test_names_what_it_cannot_use(node):
    (node.root / "data/ic_state").rmdir()
    start(node)
    found = status(node)
    assert found["status"] == "unhealthy"
    run = node.root / "run"
    assert [text.partition(": ")[0] for text in found["problems"]] == [
        str(run / "socket"),
        str(run / "mainnet"),
        str(run / "testnet"),
        str(run / "https"),
        str(node.root / "data/ic_state"),
        str(node.root / "data/ic_state/page_deltas"),
    ]


def test_sandboxes_are_in_its_process_group_and_end_with_it(node):
    process = start(node)
    found = subprocess.run(
        ["pgrep", "-g", str(process.pid), "-f", "sandbox"], capture_output=True, text=True, check=True
    )
    sandboxes = found.stdout.split()
    assert len(sandboxes) == 2
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM
    wait_for(lambda: not any(os.path.exists(f"/proc/{sandbox}") for sandbox in sandboxes), "their end")


def test_a_sandbox_that_ends_makes_it_unhealthy(node):
    (node.root / "bin/canister_sandbox").unlink()
    start(node)
    assert status(node)["problems"][-1] == "canister_sandbox: has ended"


def test_a_silent_client_does_not_block_others(node):
    start(node)
    with socket.create_connection(("::1", node.api)):
        assert get(node.api, "/version")[0] == 200


def test_leads_a_process_group_until_a_signal_ends_it(node):
    process = start(node)
    assert os.getpgid(process.pid) == process.pid
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("other", "code", "message"),
    [
        ({"replica-version": None}, 2, "required: --replica-version"),
        ({"force-subnet": None}, 2, "required: --force-subnet"),
        ({"port": "8080"}, 2, "unrecognized arguments: --port=8080"),
        ({"replica-version": "a b"}, 1, "--replica-version: 'a b' is not a version"),
        ({"replica-version": "1~rc1"}, 1, "--replica-version: '1~rc1' is not a version"),
        ({"catch-up-package": "/nothing"}, 1, "--catch-up-package: there is no file /nothing"),
        ({"config-file": "/nothing"}, 1, "/nothing: No such file or directory"),
    ],
)
def test_other_flags_end_it(node, other, code, message):
    process = node.start(main(node), *flags(node, **other))
    assert process.wait(60) == code
    assert message in process.stderr.read()


def test_takes_the_flag_of_later_releases(node):
    process = node.start(main(node), *flags(node), "--guestos-version", "1.2")
    assert "version 1.2" in process.stdout.readline()


def test_a_port_that_is_taken_is_an_error(node):
    with socket.create_server(("::1", node.api), family=socket.AF_INET6):
        process = node.start(main(node), *flags(node))
        assert process.wait(60) == 1
        assert f"::1 port {node.api}: cannot listen: Address already in use" in process.stderr.read()
