"""Tests the command: its output, and that no process or file is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from dev.remote.ports import listens
from dev.remote.programs import find_program
from tools.core.errors import UserError
from tools.testing.oracles import oracle

SERVE = [sys.executable, "-m", "dev.remote.serve"]
TEXT = b"some text"
PATH = f"cas/{'ab' * 32}"


@pytest.fixture
def serve(tmp_path):
    """Starts the command; ends it after the test if it still runs."""
    started = []

    def start(*arguments):
        command = [*SERVE, f"--folder={tmp_path}/store", *arguments]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate()


def refused(process):
    out, err = process.communicate()
    assert process.returncode == 2
    assert not out
    (line,) = err.splitlines()
    return line


def request(url, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, data, method="PUT" if data else "GET")) as answer:
        return answer.read()


def address(process):
    line = process.stdout.readline()
    assert line, process.communicate()
    config, flag = line.split()
    assert config == "--config=remote-cache"
    return flag.removeprefix("--remote_cache=")


def test_stores_what_it_is_given(serve, tmp_path):
    oracle("nginx")
    process = serve("--server=http-cache")
    url = address(process)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        request(f"{url}/{PATH}")
    request(f"{url}/{PATH}", TEXT)
    assert request(f"{url}/{PATH}") == TEXT
    assert (tmp_path / "store/stored" / PATH).read_bytes() == TEXT
    for path in ("", "other", f"other/{'ab' * 32}", "cas/ab", f"cas/../{PATH}x"):
        with pytest.raises(urllib.error.HTTPError, match=r"HTTP Error 40[345]"):
            request(f"{url}/{path}", TEXT)
    process.terminate()
    process.wait()
    process = serve("--server=http-cache")
    assert request(f"{address(process)}/{PATH}") == TEXT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_by_a_signal(serve, number):
    oracle("nginx")
    process = serve("--server=http-cache")
    port = int(address(process).rpartition(":")[2])
    process.send_signal(number)
    assert process.wait() == 128 + number
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_leaves_nothing_when_it_is_killed(serve):
    oracle("nginx")
    process = serve("--server=http-cache")
    port = int(address(process).rpartition(":")[2])
    process.kill()
    deadline = time.monotonic() + 30
    while listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_port_is_taken(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(serve("--server=http-cache", f"--port={port}"))
    assert said == f"error: --port={port}: cannot be listened on: Address already in use; choose another one"


def test_folder_is_in_use(serve, tmp_path):
    oracle("nginx")
    address(serve("--server=http-cache"))
    assert refused(serve("--server=http-cache")) == (
        f"error: --folder={tmp_path}/store: another server uses it; stop that one, or use another directory"
    )


def test_folder_that_no_configuration_can_hold(serve, tmp_path):
    said = refused(serve("--server=http-cache", f"--folder={tmp_path}/a b"))
    assert said.endswith("/a b: has characters that are not possible in the servers' configurations")


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_folder_that_others_may_write(serve, tmp_path, mode):
    """Somebody else could put links there, through which the server would write."""
    (tmp_path / "victim").write_text("old")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/lock").symlink_to(tmp_path / "victim")
    (tmp_path / "store").chmod(mode)
    folder = tmp_path / "store"
    assert refused(serve("--server=http-cache")) == (
        f"error: --folder={folder}: {folder}: other users may write it; choose another folder, or change its mode"
    )
    assert (tmp_path / "victim").read_text() == "old"


def test_program_ends(serve, tmp_path):
    """The error has the last lines of the log."""
    oracle("nginx")
    folder = tmp_path / "store"
    (folder / "tmp").mkdir(parents=True)
    (folder / "nginx.pid").mkdir()
    assert "nginx: ended by exit status 1; " in refused(serve("--server=http-cache"))


def test_program_is_missing(monkeypatch):
    monkeypatch.setattr("dev.remote.programs._FOLDERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="nginx: not found; install the Debian package nginx"):
        find_program("nginx", "nginx")
