import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest
import replica


@pytest.fixture
def port():
    with replica.Server(0, "1.2-test") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def get(port, path, host="localhost"):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, response.headers["Content-Type"], body


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_serves_its_status_on_both_families(port, host):
    status, kind, body = get(port, "/status", host)
    assert (status, kind) == (200, "application/json")
    values = json.loads(body)
    assert values.pop("uptime_seconds") >= 0
    assert values == {
        "status": "healthy",
        "version": "1.2-test",
        "implementation": "reference payload: not a replica of the Internet Computer",
    }


def test_serves_its_version(port):
    assert get(port, "/version") == (200, "text/plain; charset=utf-8", "1.2-test\n")


def test_other_paths_are_not_found(port):
    assert get(port, "/")[0] == 404


def test_a_silent_client_does_not_block_others(port):
    with socket.create_connection(("localhost", port)):
        assert get(port, "/status")[0] == 200


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-I", replica.__file__, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_program_serves_until_a_signal_ends_it(tmp_path):
    (tmp_path / "version.txt").write_text("7\n")
    with start("--port", "0", "--version-file", os.fspath(tmp_path / "version.txt")) as process:
        line = process.stdout.readline()
        assert "not a replica" in line
        port = int(re.search(r"port (\d+)$", line)[1])
        assert get(port, "/version")[2] == "7\n"
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM


def test_a_port_that_is_taken_is_an_error(tmp_path, port):
    (tmp_path / "version.txt").write_text("7\n")
    with start("--port", str(port), "--version-file", os.fspath(tmp_path / "version.txt")) as process:
        assert process.wait(30) == 1
        assert re.fullmatch(r"replica: .*Address already in use\n", process.stderr.read())
