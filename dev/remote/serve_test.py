"""Tests the command: its output, and that no process or file is left behind."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dev.remote.address import Address
from dev.remote.programs import find_program
from tools.core.errors import UserError
from tools.testing.oracles import oracle

SERVE = [sys.executable, "-m", "dev.remote.serve"]
TEXT = b"some text"
PATH = f"cas/{'ab' * 32}"


@pytest.fixture
def place():
    """The path of a socket, short enough wherever tests run."""
    with tempfile.TemporaryDirectory(prefix="serve-", dir="/tmp") as folder:
        yield Path(folder, "socket")


@pytest.fixture
def serve(tmp_path, place):
    """Starts the command; ends it after the test if it still runs."""
    started = []

    def start(*arguments):
        command = [*SERVE, f"--folder={tmp_path}/store", *arguments]
        if not any(argument.startswith(("--port", "--socket")) for argument in arguments):
            command.append(f"--socket={place}")
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


class Connection(http.client.HTTPConnection):
    """A connection to a Unix domain socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def request(connection, path, data=None):
    """Returns the status and the body of the answer."""
    connection.request("PUT" if data else "GET", f"/{path}", data)
    answer = connection.getresponse()
    return answer.status, answer.read()


def started(process):
    """Waits until the server is ready; returns Bazel's flags."""
    line = process.stdout.readline()
    assert line, process.communicate()
    config, *flags = line.split()
    assert config == "--config=remote-cache"
    return flags


def test_stores_what_it_is_given(serve, tmp_path, place):
    oracle("nginx")
    process = serve("--server=http-cache")
    assert started(process) == ["--remote_cache=http://localhost", f"--remote_proxy=unix:{place}"]
    connection = Connection(place)
    assert request(connection, PATH)[0] == 404
    assert request(connection, PATH, TEXT)[0] == 201
    assert request(connection, PATH) == (200, TEXT)
    assert (tmp_path / "store/stored" / PATH).read_bytes() == TEXT
    for path in ("", "other", f"other/{'ab' * 32}", "cas/ab", f"cas/../{PATH}x"):
        assert request(connection, path, TEXT)[0] in (403, 404, 405)
    process.terminate()
    process.wait()
    started(serve("--server=http-cache"))
    assert request(Connection(place), PATH) == (200, TEXT)


def test_only_the_user_who_starts_it_reaches_a_server(serve, place, tmp_path):
    oracle("nginx")
    started(serve("--server=http-cache"))
    assert place.parent.stat().st_mode & 0o777 == 0o700
    for task in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        assert not any(f"socket:[{task.split()[9]}]" in link for link in descriptors())
    place.parent.chmod(0o755)
    assert "other users may enter it, and so use the server" in refused(
        serve("--server=http-cache", f"--folder={tmp_path}/other")
    )


def descriptors():
    """Returns what the open files of the nginx processes of this user are."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text() == "nginx\n":
                yield from (os.readlink(link) for link in (process / "fd").iterdir())


def test_a_port_is_for_all_users(serve):
    oracle("nginx")
    process = serve("--server=http-cache", "--port=0")
    (flag,) = started(process)
    url = flag.removeprefix("--remote_cache=http://")
    connection = http.client.HTTPConnection(url)
    assert request(connection, PATH, TEXT)[0] == 201
    assert request(connection, PATH) == (200, TEXT)
    assert "for all users of this machine" in process.stderr.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_by_a_signal(serve, number, place):
    oracle("nginx")
    process = serve("--server=http-cache")
    started(process)
    process.send_signal(number)
    assert process.wait() == 128 + number
    assert not Address(path=place).listens()


def test_leaves_nothing_when_it_is_killed(serve, place):
    oracle("nginx")
    process = serve("--server=http-cache")
    started(process)
    process.kill()
    deadline = time.monotonic() + 30
    while Address(path=place).listens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.wait()
    started(serve("--server=http-cache"))  # the socket that was left is replaced


def test_a_path_for_a_socket(serve, tmp_path, place):
    assert "--port, --socket: exclude each other" in refused(serve("--server=http-cache", "--port=0", "--socket=x"))
    (tmp_path / "long").mkdir(mode=0o700)
    said = refused(serve("--server=http-cache", f"--socket={tmp_path}/long/{'x' * 100}"))
    assert said.endswith("is longer than 107 bytes, as sockets require; choose a shorter path")
    place.write_text("a file")
    assert "is no socket; choose another path" in refused(serve("--server=http-cache"))
    assert place.read_text() == "a file"


def test_port_is_taken(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(serve("--server=http-cache", f"--port={port}"))
    assert said == f"error: --port={port}: cannot be listened on: Address already in use; choose another one"


def test_folder_is_in_use(serve, tmp_path):
    oracle("nginx")
    started(serve("--server=http-cache"))
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
