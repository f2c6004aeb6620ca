import os
import pty
import re
import socket
import subprocess
import sys
import threading

import pytest

from tools.vm import shell as vm_shell
from tools.vm.console import Console, ConsoleError
from tools.vm.shell import Result, Shell

LOGIN = """
import os, sys
failures = sys.argv[1:]
while True:
    input("machine login: ")
    failure = failures.pop(0) if failures else None
    if failure == "password prompt":
        print("login: timed out after 60 seconds")
        continue
    password = input("Password: ")
    if failure == "password":
        print("Login timed out after 60 seconds.")
    elif failure == "no message":
        print()
    elif failure == "user taken for password" or password != "secret":
        print("Login incorrect")
    else:
        print("Last login: ", end="", flush=True)
        print("today", flush=True)
        os.execvp("sh", ["sh", "-i"])
"""


class Terminal:
    """A login on a pseudo-terminal, connected to a console like a machine's serial port."""

    def __init__(self, tmp_path, failures=()):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *failures],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=tmp_path,
            env={**os.environ, "PS1": "# ", "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        )  # fmt: skip
        os.close(slave)
        ours, self.theirs = socket.socketpair()
        self.console = Console(ours)
        self._threads = [threading.Thread(target=self._copy, args=way, daemon=True) for way in ((True,), (False,))]
        for thread in self._threads:
            thread.start()

    def _copy(self, shown):
        try:
            while data := os.read(self.master, 1000) if shown else self.theirs.recv(1000):
                if shown:
                    self.theirs.sendall(data)
                else:
                    os.write(self.master, data)
        except OSError:
            return

    def close(self):
        self.process.kill()
        self.process.wait()
        self.theirs.shutdown(socket.SHUT_RDWR)
        self.console.close()
        os.close(self.master)


@pytest.fixture
def terminal(tmp_path):
    made = []

    def terminal(**options):
        made.append(Terminal(tmp_path, **options))
        return made[-1]

    yield terminal
    for each in made:
        each.close()


@pytest.fixture
def shell(terminal, monkeypatch, tmp_path):
    monkeypatch.setattr("tools.vm.shell._OUTPUT", str(tmp_path / "output"))
    monkeypatch.setattr("tools.vm.shell._SILENCE", "true")
    shell = Shell(terminal().console)
    shell.login("root", "secret", 60)
    return shell


def test_commands_have_output_and_status(shell):
    result = shell.run("echo one; echo two >&2; exit 3")
    assert (result.status, result.output) == (3, "one\ntwo\n")


class SlowConsole:
    """A console whose output comes a character at a time, each of which is searched before the next one comes."""

    def __init__(self, output):
        self._output = output
        self._position = 0
        self.text = ""

    def write(self, text):
        """Takes a command, whose output is known before."""

    def expect(self, pattern, timeout, what=""):
        for length in range(len(self.text), len(self._output) + 1):
            self.text = self._output[:length]
            if match := re.compile(pattern, re.MULTILINE).search(self.text, self._position):
                self._position = match.end()
                return match
        raise AssertionError(f"no {what}")


def test_the_status_is_the_whole_number():
    assert Shell(SlowConsole("begin-1\nZG9uZQ==\nend-1 143\n")).run("false") == Result(143, "done")


@pytest.mark.parametrize("text", ["'quoted' \"twice\" $HOME `id` \\ * é", "end-1 0", "begin-2", "x" * 3000])
def test_text_comes_as_it_is(shell, text):
    assert shell.run("cat", 60).output == ""
    if len(text) < 1000:
        assert shell.run(f"printf %s {_quoted(text)}").output == text
    else:
        assert shell.run(f"head -c {len(text)} /dev/zero | tr '\\0' x").output == text


def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def test_bytes_that_are_no_text_are_output(shell):
    assert shell.run(r"printf '\377a'", 60) == Result(0, "\udcffa")


def test_check_is_for_what_must_succeed(shell):
    assert shell.check("echo ' done '") == "done"
    with pytest.raises(ConsoleError, match=r"'ls /nothing' fails with exit status 2: .*No such file"):
        shell.check("ls /nothing")


@pytest.mark.parametrize("message", ["[ 1.0] a message", "● a unit"])
def test_what_others_write_between_the_lines_is_asked_for_again(shell, tmp_path, message):
    # The first output contains a line of another process, like a kernel message.
    noisy = tmp_path / "base64"
    mark = tmp_path / "second"
    noisy.write_text(f"#!/bin/sh\n[ -e {mark} ] || echo '{message}'\n: >{mark}\nPATH=${{PATH#*:}} base64 \"$@\"\n")
    noisy.chmod(0o755)
    shell.start("hash -r")  # the login ran the other base64, whose place the shell remembers
    assert shell.run("echo good").output == "good\n"
    assert mark.exists()


@pytest.mark.parametrize(
    "failures",
    [
        ["password prompt", "password prompt"],
        ["password"],
        ["no message", "no message"],
        ["no message", "user taken for password"],
    ],
)
def test_a_login_starts_again_when_its_prompt_comes_again(terminal, monkeypatch, tmp_path, failures):
    monkeypatch.setattr("tools.vm.shell._OUTPUT", str(tmp_path / "output"))
    monkeypatch.setattr("tools.vm.shell._SILENCE", "true")
    shell = Shell(terminal(failures=failures).console)
    shell.login("root", "secret", 60)
    assert shell.check("echo in") == "in"


def test_a_login_does_not_start_again_for_ever(terminal):
    with pytest.raises(ConsoleError, match=r"the login prompt came 11 times; it ended with:\n(.*\n)*machine login:"):
        Shell(terminal(failures=["no message"] * 20).console).login("root", "secret", 60)


@pytest.fixture
def init(monkeypatch, tmp_path):
    """A process that takes the place of systemd and ends with status 0 at its signal; dmesg is a program that succeeds.

    The place is in `_SILENCE`, so that no process of this machine gets the signal.
    """
    (tmp_path / "dmesg").write_text("#!/bin/sh\n")
    (tmp_path / "dmesg").chmod(0o755)
    code = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 21]); print(flush=True); "
    code += "signal.sigwait([signal.SIGRTMIN + 21])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    command = vm_shell._SILENCE
    assert command.endswith(" 1")
    monkeypatch.setattr(vm_shell, "_SILENCE", f"{command[:-1]}{process.pid}")
    monkeypatch.setattr(vm_shell, "_OUTPUT", str(tmp_path / "output"))
    yield process
    process.kill()
    process.communicate()


def test_systemd_is_silenced(terminal, init):
    Shell(terminal().console).login("root", "secret", 60)
    assert init.wait(60) == 0


def test_a_machine_that_cannot_be_silenced_is_an_error(terminal, init, tmp_path):
    (tmp_path / "dmesg").write_text("#!/bin/sh\necho not permitted\nexit 1\n")
    with pytest.raises(ConsoleError, match=r"dmesg .* fails with exit status 1: not permitted"):
        Shell(terminal().console).login("root", "secret", 60)


def test_a_wrong_password_is_an_error(terminal):
    with pytest.raises(ConsoleError, match="rejects the password of root"):
        Shell(terminal().console).login("root", "wrong", 60)


def test_commands_are_one_line(shell):
    for command in ("a\nb", "x" * 4000):
        with pytest.raises(ValueError, match="one line of at most"):
            shell.run(command)
