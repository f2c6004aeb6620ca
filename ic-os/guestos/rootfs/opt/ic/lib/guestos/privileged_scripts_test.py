"""Tests of the socket by which the orchestrator's processes reach sudo; a program of the test stands for sudo."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from guestos import privileged_scripts
from guestos.errors import GuestError

SCRIPT = "/opt/ic/bin/manageboot.sh"
LIBRARY = str(Path(privileged_scripts.__file__).parents[1])
SECONDS = 60

CALL = """
import sys
sys.path.insert(0, sys.argv[1])
from guestos import errors, privileged_scripts
privileged_scripts._GRACE_SECONDS = int(sys.argv[3])
try:
    sys.exit(privileged_scripts.call(sys.argv[4], sys.argv[5:], sys.argv[2]))
except errors.GuestError as error:
    sys.exit(str(error))
"""
SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
from guestos import privileged_scripts
sys.exit(privileged_scripts.main(sys.argv[2]))
"""


class Service:
    """Takes the place of the socket unit: starts the server for one connection, with it as descriptor 3."""

    def __init__(self, folder, script):
        self.path, self.sudo = str(folder / "socket"), folder / "sudo"
        self.sudo.write_text(f"#!/bin/sh\n{script}")
        self.sudo.chmod(0o755)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(self.path)
        self._socket.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        connection, _ = self._socket.accept()
        command = [sys.executable, "-c", f"import os; os.dup2({connection.fileno()}, 3)\n{SERVE}", LIBRARY, self.sudo]
        self.process = subprocess.Popen(
            command, pass_fds=[connection.fileno()], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        connection.close()

    def started(self):
        """Returns the process of the server."""
        self._thread.join(SECONDS)
        return self.process

    def close(self):
        self._socket.close()
        self._thread.join(SECONDS)


@pytest.fixture
def service():
    services = []

    # The path of a socket has at most 107 bytes; that of a test's own directory may be longer.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:

        def make(script):
            services.append(Service(Path(folder), script))
            return services[-1]

        yield make
        for each in services:
            each.close()


def call(service, *arguments, grace=SECONDS, **options):
    """Starts a process that calls a script."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", CALL, LIBRARY, service.path, str(grace), SCRIPT, *arguments]
    return subprocess.Popen(command, **(pipes | options))


SUDO = """
import sys
sys.path.insert(0, sys.argv[1])
from guestos import privileged_scripts
sys.exit(privileged_scripts.sudo_main(sys.argv[3:], sys.argv[2]))
"""


@pytest.mark.parametrize("options", [[], ["-n"], ["--non-interactive", "--"]])
def test_the_program_in_place_of_sudo_has_the_command_run(service, options):
    made = service('shift 2; echo "$*"; exit 4')
    command = [sys.executable, "-c", SUDO, LIBRARY, made.path, *options, "/opt/ic/bin/guestos_tool", "--ipv4=x", "-n"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (4, b"/opt/ic/bin/guestos_tool --ipv4=x -n\n")


@pytest.mark.parametrize("words", [[], ["-n"], ["--user=root", "id"], ["-i"]])
def test_the_program_in_place_of_sudo_refuses_what_it_does_not_know(words, capsys):
    assert privileged_scripts.sudo_main(words, "/missing") == 1
    assert capsys.readouterr().err.startswith("sudo: only a command and its arguments are supported, not ")


def wait_for(path):
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} is missing"
        time.sleep(0.01)


@pytest.mark.parametrize("status", [0, 1, 5])
def test_the_script_has_the_files_of_the_caller_and_its_exit_status_is_returned(service, status):
    process = call(service('printf "%s|" "$@"; cat; echo error >&2; exit ' + str(status)), "upgrade-install", "a b")
    output, errors = process.communicate(b"keys without a newline", SECONDS)
    expected = f"--non-interactive|--|{SCRIPT}|upgrade-install|a b|".encode()
    assert (process.returncode, output, errors) == (status, expected + b"keys without a newline", b"error\n")


def test_a_script_that_a_signal_ended_has_the_status_of_a_shell(service):
    process = call(service("kill -KILL $$"))
    process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGKILL


def test_the_status_reaches_a_caller_whose_service_is_being_stopped(service, tmp_path):
    """The reboot after a commit sends SIGTERM to the caller and to the server; the script ignores it."""
    running, go_on = tmp_path / "running", tmp_path / "go-on"
    made = service(f"trap '' TERM; touch {running}; until test -e {go_on}; do sleep 0.01; done; exit 7")
    process = call(made, "upgrade-commit")
    wait_for(running)
    process.terminate()
    made.started().terminate()
    go_on.touch()
    process.communicate(timeout=SECONDS)
    assert process.returncode == 7


def test_a_caller_that_is_stopped_does_not_wait_for_ever_and_its_server_ends(service, tmp_path):
    running, go_on = tmp_path / "running", tmp_path / "go-on"
    made = service(f"touch {running}; until test -e {go_on}; do sleep 0.01; done")
    process = call(made, "upgrade-install", grace=1)
    wait_for(running)
    process.terminate()
    try:
        assert process.wait(SECONDS) == -signal.SIGALRM
        assert made.started().wait(SECONDS) == 0
    finally:
        go_on.touch()
    process.communicate(timeout=SECONDS)


@pytest.mark.parametrize(
    ("request_", "files"),
    [(b"", 3), (b"{", 3), (b'"word"', 3), (b"[]", 3), (b"[1]", 3), (b'["a\\u0000b"]', 3), (b'["a"]', 2), (b'["a"]', 4)],
)
def test_an_invalid_request_runs_nothing(service, tmp_path, request_, files):
    made = service(f"touch {tmp_path}/ran")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(made.path)
        socket.send_fds(connection, [request_], [os.open("/dev/null", os.O_RDWR)] * files)
        assert connection.recv(10) == b""
    output, _ = made.started().communicate(timeout=SECONDS)
    assert (made.process.returncode, output[:3], output.count(b"\n")) == (2, b"<3>", 1)
    assert not (tmp_path / "ran").exists()


def test_a_request_that_is_too_long_runs_nothing(service, tmp_path):
    made = service(f"touch {tmp_path}/ran")
    process = call(made, *["x" * 60000] * 2)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (1, f"{SCRIPT}: the arguments are too long\n".encode())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(made.path)
        connection.send(b"[" + b" " * 100000 + b"]")
        assert connection.recv(10) == b""
    assert made.started().wait(SECONDS) == 2
    assert not (tmp_path / "ran").exists()


def test_errors_of_a_caller_name_script_and_socket():
    with pytest.raises(GuestError, match=rf"^{SCRIPT} needs root, and /missing/socket cannot be used: No such file"):
        privileged_scripts.call(SCRIPT, [], "/missing/socket")


def test_a_server_without_sudo_reports_it_and_the_caller_fails(service):
    made = service("")
    made.sudo.unlink()
    process = call(made, "confirm")
    _, errors = process.communicate(timeout=SECONDS)
    message = f"{SCRIPT}: was ended before its exit status was known; see the journal\n"
    assert (process.returncode, errors.decode()) == (1, message)
    output, _ = made.started().communicate(timeout=SECONDS)
    assert output.decode() == f"<3>privileged-scripts: {made.sudo}: cannot be run: No such file or directory\n"
