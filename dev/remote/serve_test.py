"""Tests the command: its output, and that no process or file is left behind."""

import base64
import contextlib
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

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


class Cache(NamedTuple):
    """What a client of an HTTP cache knows."""

    url: str
    authorization: str


def flags(process):
    """Returns the flags that the command offers to Bazel."""
    line = process.stdout.readline().strip()
    assert line.startswith("--bazelrc="), process.communicate()
    path = Path(line.removeprefix("--bazelrc="))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [shlex.split(line) for line in path.read_text().splitlines()]
    assert {words[0] for words in lines} == {"build"}
    return dict(flag.removeprefix("--").split("=", 1) for _, flag in lines)


def cache(process):
    found = flags(process)
    assert found.keys() == {"config", "remote_cache", "remote_header"}
    assert found["config"] == "remote-cache"
    name, _, value = found["remote_header"].partition("=")
    assert name == "authorization"
    return Cache(found["remote_cache"], value)


def request(server, path, data=None, authorization=""):
    """Reads or writes a file of the cache; with other credentials if they are given, with none if that is None."""
    url, right = server
    headers = {} if authorization is None else {"authorization": authorization or right}
    wanted = urllib.request.Request(f"{url}/{path}", data, headers, method="PUT" if data else "GET")
    with urllib.request.urlopen(wanted) as answer:
        return answer.read()


def wait_until(happened):
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def port_of(process):
    return int(cache(process).url.rpartition(":")[2])


def test_stores_what_it_is_given(serve, tmp_path):
    oracle("nginx")
    process = serve("--server=http-cache")
    server = cache(process)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        request(server, PATH)
    request(server, PATH, TEXT)
    assert request(server, PATH) == TEXT
    assert (tmp_path / "store/stored" / PATH).read_bytes() == TEXT
    for path in ("", "other", f"other/{'ab' * 32}", "cas/ab", f"cas/../{PATH}x"):
        with pytest.raises(urllib.error.HTTPError, match=r"HTTP Error 40[345]"):
            request(server, path, TEXT)
    process.terminate()
    process.wait()
    process = serve("--server=http-cache")
    assert request(cache(process), PATH) == TEXT


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize("data", [None, b"other"], ids=["GET", "PUT"])
def test_nothing_without_credentials(http_cache, tmp_path, data):
    right = base64.b64decode(http_cache.authorization.removeprefix("Basic ")).decode()
    assert re.fullmatch(r"bazel:[\w-]{43}", right, re.ASCII)
    log = tmp_path / "store/logs/access.log"
    for path in (PATH, PATH.replace("cas", "ac")):
        request(http_cache, path, TEXT)
        for wrong in (None, basic("bazel:"), basic("bazel:x"), basic(right[:-1]), "Bearer x"):
            before = log.read_text().count(" 401 ")
            with pytest.raises(urllib.error.HTTPError, match="401"):
                request(http_cache, path, data, authorization=wrong)
            wait_until(lambda before=before: log.read_text().count(" 401 ") == before + 1)
        assert (tmp_path / "store/stored" / path).read_bytes() == TEXT


@pytest.fixture
def http_cache(serve):
    oracle("nginx")
    return cache(serve("--server=http-cache"))


def test_credentials_are_for_one_start_and_one_user(serve, tmp_path):
    oracle("nginx")
    found = []
    for _ in range(2):
        process = serve("--server=http-cache")
        found.append(cache(process).authorization)
        token = base64.b64decode(found[-1].removeprefix("Basic ")).decode().removeprefix("bazel:")
        for path in (tmp_path / "store").rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o077:
                assert token not in path.read_text()
        assert stat.S_IMODE((tmp_path / "store/passwords").stat().st_mode) == 0o600
        assert token not in (tmp_path / "store/passwords").read_text()
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                assert token.encode() not in cmdline.read_bytes()
        process.terminate()
        process.wait()
        assert not (tmp_path / "store/bazelrc").exists()
    assert found[0] != found[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_by_a_signal(serve, number):
    oracle("nginx")
    process = serve("--server=http-cache")
    port = port_of(process)
    process.send_signal(number)
    assert process.wait() == 128 + number
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_leaves_nothing_when_it_is_killed(serve):
    oracle("nginx")
    process = serve("--server=http-cache")
    port = port_of(process)
    process.kill()
    wait_until(lambda: not listens(port))


def test_port_is_taken(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(serve("--server=http-cache", f"--port={port}"))
    assert said == f"error: --port={port}: cannot be listened on: Address already in use; choose another one"


def test_folder_is_in_use(serve, tmp_path):
    oracle("nginx")
    cache(serve("--server=http-cache"))
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
