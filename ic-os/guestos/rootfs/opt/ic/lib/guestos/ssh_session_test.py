"""Tests of the programs that run sessions of SSH outside of sshd's sandbox."""

import errno
import fcntl
import os
import pty
import pwd
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import pytest

from guestos import ssh_session, ssh_session_server
from guestos.errors import GuestError

LIBRARY = str(Path(ssh_session.__file__).parents[1])
SECONDS = 60

CALL = """
import sys
sys.path.insert(0, sys.argv[1])
from guestos import ssh_session
sys.exit(ssh_session.main(sys.argv[2]))
"""
# The account is the one of the test, with another shell and home; only root can become another one.
SERVE = """
import collections, os, sys
sys.path.insert(0, sys.argv[1])
from guestos import ssh_session_server
Account = collections.namedtuple("Account", "pw_name pw_uid pw_gid pw_dir pw_shell")
def account_of(uid):
    if sys.argv[3] == "/missing-account":
        raise KeyError(uid)
    return Account("test", uid, os.getgid(), sys.argv[3], sys.argv[2])
ssh_session_server.pwd.getpwuid = account_of
ssh_session_server._become = lambda account: print("becomes", account.pw_uid, file=open(sys.argv[4], "w"))
sys.exit(ssh_session_server.main([sys.argv[5]]))
"""


class Service:
    """Takes the place of the socket unit: starts the server for one connection, with it as descriptor 3."""

    def __init__(self, folder, shell, home, account):
        self.path, self.became = str(folder / "socket"), folder / "became"
        self._arguments = [LIBRARY, shell, home or str(folder), str(self.became), account]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(self.path)
        self._socket.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        connection, _ = self._socket.accept()
        take = f"import os; os.dup2({connection.fileno()}, 3); os.close({connection.fileno()})"
        command = [sys.executable, "-c", f"{take}\n{SERVE}", *self._arguments]
        self.process = subprocess.Popen(
            command, pass_fds=[connection.fileno()], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        connection.close()

    def ended(self):
        """Returns the exit status and the output of the server, once it has ended."""
        self._thread.join(SECONDS)
        output, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output.decode()

    def close(self):
        self._socket.close()
        self._thread.join(SECONDS)


@pytest.fixture
def service():
    services = []

    # The path of a socket has at most 107 bytes; that of a test's own directory may be longer.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:

        def make(shell="/bin/sh", home=None, account="test"):
            services.append(Service(Path(folder), shell, home, account))
            return services[-1]

        yield make
        for each in services:
            each.close()


def start(service, command=None, **options):
    """Starts what sshd starts for a session, with a command or without one."""
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "SHLVL": "7", "OLDPWD": "/old", "PWD": "/new"}
    environment |= {} if command is None else {"SSH_ORIGINAL_COMMAND": command}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", CALL, LIBRARY, service.path], env=environment, **(pipes | options))


def wait_for(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s"
        time.sleep(0.01)


@pytest.mark.parametrize("status", [0, 1, 200])
def test_a_command_has_the_pipes_of_the_caller_and_its_exit_status_is_returned(service, status):
    data = bytes(range(256)) * 4096
    process = start(service(), f"cat; echo error >&2; exit {status}")
    assert process.communicate(data, SECONDS) == (data, b"error\n")
    assert process.returncode == status


def test_a_command_has_the_environment_of_the_caller_and_starts_at_home(service, tmp_path):
    process = start(service(home=str(tmp_path)), "env; pwd")
    lines = process.communicate(timeout=SECONDS)[0].decode().splitlines()
    assert "TERM=dumb" in lines
    assert lines[-1] == str(tmp_path)
    # What the shell that sshd starts sets, and the command itself, are no part of it.
    assert not [line for line in lines if line.startswith(("SSH_ORIGINAL_COMMAND=", "OLDPWD=", "SHLVL=7"))]


def test_an_empty_command_is_not_a_login(service):
    process = start(service(), "")
    assert process.communicate(b"echo from standard input\n", SECONDS) == (b"", b"")


def test_without_a_command_the_shell_is_a_login_shell(service):
    process = start(service())
    output, _ = process.communicate(b'echo "$0 $#"\nexit 4\n', SECONDS)
    assert (output, process.returncode) == (b"-sh 0\n", 4)


def test_a_session_that_a_signal_ended_has_the_status_of_a_shell(service):
    process = start(service(), "kill -KILL $$")
    process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGKILL


def test_a_key_before_the_session_has_the_terminal_ends_the_login():
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as here,
    ):
        path = f"{folder}/socket"
        here.bind(path)
        here.listen()
        process = subprocess.Popen([sys.executable, "-c", CALL, LIBRARY, path], stderr=subprocess.PIPE)
        connection, _ = here.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=SECONDS) == (None, b"error: ssh-session: interrupted\n")
    assert process.returncode == 255


def test_programs_of_a_session_end_by_a_closed_pipe(service):
    """Python ignores SIGPIPE, and what it starts would, too."""
    process = start(service(), "grep SigIgn /proc/self/status")
    _, ignored = process.communicate(timeout=SECONDS)[0].split()
    assert int(ignored, 16) & 1 << signal.SIGPIPE - 1 == 0


def test_the_session_belongs_to_the_account_of_the_caller(service):
    made = service()
    start(made, "true").communicate(timeout=SECONDS)
    made.ended()
    assert made.became.read_text() == f"becomes {os.getuid()}\n"


def test_a_session_has_no_other_files(service):
    # One is of ls itself.
    process = start(service(), "ls /proc/self/fd")
    assert process.communicate(timeout=SECONDS)[0].split() == [b"0", b"1", b"2", b"3"]


def terminal(rows=33, columns=77):
    """Returns both ends of a terminal that is of no session."""
    controller, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    return controller, end


def read_terminal(controller):
    """Returns what is written to a terminal, until nobody has it open."""
    output = b""
    while select.select([controller], [], [], SECONDS)[0]:
        try:
            output += os.read(controller, 4096)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return output.replace(b"\r\n", b"\n")
    pytest.fail(f"the terminal is open for more than {SECONDS} s: {output!r}")


def start_at_terminal(service, command=None):
    controller, end = terminal()
    process = start(service, command, stdin=end, stdout=end, stderr=end)
    os.close(end)
    return controller, process


def test_a_session_has_the_terminal_of_the_caller(service):
    controller, process = start_at_terminal(service(), "stty size; test -t 1; echo here >/dev/tty; exit 3")
    assert read_terminal(controller) == b"33 77\nhere\n"
    assert process.wait(SECONDS) == 3
    os.close(controller)


def test_keys_of_the_terminal_send_signals_to_the_session(service):
    controller, process = start_at_terminal(service(), "trap 'exit 5' INT; echo ready; while :; do sleep 0.01; done")
    assert os.read(controller, 100) == b"ready\r\n"
    os.write(controller, b"\x03")
    assert read_terminal(controller) == b"^C"
    assert process.wait(SECONDS) == 5
    os.close(controller)


def test_the_end_of_the_connection_ends_a_session_with_a_terminal(service):
    made = service()
    controller, process = start_at_terminal(made, "echo ready; sleep 1000")
    assert os.read(controller, 100) == b"ready\r\n"
    # As sshd does when the connection ends.
    os.close(controller)
    assert process.wait(SECONDS) == 128 + signal.SIGHUP
    assert made.ended() == (0, "")


def test_a_terminal_of_another_account_is_not_taken(service, monkeypatch):
    taken = []
    monkeypatch.setattr(ssh_session_server.os, "isatty", lambda _: True)
    monkeypatch.setattr(ssh_session_server.fcntl, "ioctl", lambda *call: taken.append(call))
    owner = os.fstat(0).st_uid
    ssh_session_server._take_terminal(owner + 1)
    assert taken == []
    ssh_session_server._take_terminal(owner)
    assert taken == [(0, termios.TIOCSCTTY, 1)]


def test_the_end_of_the_caller_ends_the_session(service, tmp_path):
    running, caught = tmp_path / "running", tmp_path / "caught"
    made = service()
    process = start(made, f"trap 'touch {caught}; exit' HUP; touch {running}; while :; do sleep 0.01; done")
    wait_for(running.exists, "the session runs")
    process.kill()
    process.communicate(timeout=SECONDS)
    assert made.ended() == (0, "")
    wait_for(caught.exists, "the session gets SIGHUP")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_the_exit_status_reaches_a_caller_while_the_service_is_being_stopped(service, tmp_path, name):
    running, go_on = tmp_path / "running", tmp_path / "go-on"
    made = service()
    process = start(made, f"touch {running}; until test -e {go_on}; do sleep 0.01; done; exit 7")
    wait_for(running.exists, "the session runs")
    made.process.send_signal(signal.Signals[name])
    go_on.touch()
    process.communicate(timeout=SECONDS)
    assert process.returncode == 7


def test_a_shell_has_the_default_actions_of_signals(service):
    process = start(service(), "kill -TERM $$")
    process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_caller_that_ended_with_the_session_is_no_error():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here:
        there.close()
        ssh_session_server._reply(here, 0)


def test_a_home_that_is_missing_is_reported_and_the_session_starts(service):
    process = start(service(home="/missing"), "pwd")
    assert process.communicate(timeout=SECONDS) == (b"/\n", b"ssh-session: /missing: No such file or directory\n")


def test_a_shell_that_is_missing_is_reported(service):
    process = start(service("/missing/shell"), "true")
    errors = process.communicate(timeout=SECONDS)[1].decode()
    assert process.returncode == 255
    assert errors == "error: ssh-session: test: [Errno 2] No such file or directory: '/missing/shell'\n"


def test_an_account_that_may_not_log_in_gets_no_session(service):
    started = service(account="other")
    process = start(started, "true")
    assert process.wait(SECONDS) == 255
    assert started.ended() == (2, "<3>ssh-session: test has no sessions of SSH\n")


def test_a_caller_without_a_request_does_not_keep_the_service(monkeypatch):
    monkeypatch.setattr(ssh_session_server, "_SECONDS", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(GuestError, match="sent no request within"):
        ssh_session_server.serve(ours, ["test"])


def test_the_end_of_the_caller_reaches_a_session_that_is_not_one_yet(monkeypatch):
    monkeypatch.setattr(ssh_session_server, "_become", lambda account: time.sleep(0.3))
    account = pwd.getpwuid(os.getuid())
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    with ours:
        socket.send_fds(theirs, [b"SSH_ORIGINAL_COMMAND=sleep 60"], [writer] * 3)
        theirs.close()
        os.close(writer)
        handlers = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP)]
        ssh_session_server.serve(ours, [account.pw_name])
        for number, handler in handlers:
            signal.signal(number, handler)
        assert select.select([reader], [], [], SECONDS)[0], "the session goes on"
    os.close(reader)


def test_an_account_that_does_not_exist_gets_no_session(service):
    made = service(home="/missing-account")
    process = start(made, "true")
    errors = process.communicate(timeout=SECONDS)[1].decode()
    assert process.returncode == 255
    assert errors == "error: ssh-session: the session ended without an exit status; see the journal\n"
    assert made.ended() == (2, f"<3>ssh-session: user ID {os.getuid()} has no account\n")


@pytest.mark.parametrize("files", [0, 2, 4])
def test_a_request_without_three_files_starts_nothing(service, tmp_path, files):
    made = service()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(made.path)
        request = f"SSH_ORIGINAL_COMMAND=touch {tmp_path}/ran".encode()
        socket.send_fds(connection, [request], [os.open("/dev/null", os.O_RDWR)] * files)
        assert connection.recv(10) == b""
    status, output = made.ended()
    assert (status, output[:3], output.count("\n")) == (2, "<3>", 1)
    assert not (tmp_path / "ran").exists()


def test_a_caller_without_a_service_names_the_socket():
    with pytest.raises(GuestError, match=r"^/missing/socket: cannot be used: No such file or directory"):
        ssh_session.call({}, "/missing/socket")


def test_the_rights_of_root_go_in_an_order_that_leaves_none(monkeypatch):
    """After setuid the groups could not be changed any more."""
    changes = []
    for name in ("open", "write", "close", "initgroups", "setgid", "setuid"):
        monkeypatch.setattr(ssh_session_server.os, name, lambda *call, name=name: changes.append((name, *call)))
    ssh_session_server._become(pwd.struct_passwd(("admin", "x", 601, 602, "", "/", "/bin/sh")))
    assert changes[-3:] == [("initgroups", "admin", 602), ("setgid", 602), ("setuid", 601)]
    assert changes[:2] == [("open", "/proc/self/loginuid", os.O_WRONLY), ("write", None, b"601")]
