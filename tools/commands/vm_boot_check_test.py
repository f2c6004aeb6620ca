"""The command with a console of the test; boot tests of images run it with machines."""

import contextlib
import os
import shlex
import socket
import subprocess

import pytest

from tools.commands import vm_boot_check
from tools.core.cli import call
from tools.core.errors import UserError
from tools.vm.checks import Checks
from tools.vm.console import Console, ConsoleError
from tools.vm.shell import Result, Shell

READY = b"ready\r\n"


class Machine:
    """A machine that has shown a line, and ends by itself or not."""

    def __init__(self, console, ends):
        self.console = console
        self.ends = ends

    def wait_end(self, timeout):
        if not self.ends:
            raise UserError(f"the machine still runs after {timeout:g} s")


@pytest.fixture
def run(monkeypatch):
    """Returns a function that runs the command on such a machine, and returns its exit status.

    A machine that has shown something else than READY shows nothing more.
    """

    def run(*words, ends=True, shown=READY):
        @contextlib.contextmanager
        def booted(_arguments):
            ours, theirs = socket.socketpair()
            theirs.sendall(shown)
            if shown != READY:
                theirs.shutdown(socket.SHUT_WR)
            console, checks = Console(ours), Checks()
            with theirs, contextlib.closing(console):
                yield Machine(console, ends), checks
            checks.raise_failed("disk.tar")

        monkeypatch.setattr(vm_boot_check, "booted", booted)
        words = ["vm_boot_check", "--disk=disk.tar", "--timeout=60", *words]
        return call(vm_boot_check.main, vm_boot_check.Arguments, None, words)

    return run


def test_the_machine_may_go_on(run, capsys):
    assert run("--console=^ready$", ends=False) == 0
    assert capsys.readouterr().out == "ok: the console shows '^ready$'\n"


def test_the_machine_has_to_end(run, capsys):
    assert run("--console=^ready$", "--ends") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok: the machine ends"
    assert run("--console=^ready$", "--ends", ends=False) == 2
    assert "the machine still runs after 60 s" in capsys.readouterr().err


def test_lines_in_another_order(run, capsys):
    """The message says so: else it would seem that a line that can be seen on the console was not found."""
    assert run("--console=^second$", "--console=^first$", shown=b"first\r\nsecond\r\n") == 2
    said = capsys.readouterr().err
    assert "'^first$' came before '^second$', and has to come after it; --console has the order of the lines" in said
    assert "the machine ended before it showed" in said
    assert run("--console=^second$", "--console=^third$", shown=b"first\r\nsecond\r\n") == 2
    assert "came before" not in capsys.readouterr().err


def test_a_login_ends_it(run, capsys):
    assert run("--ends", '--commands={"true": ""}') == 2
    assert "--ends: --commands, --units, --ports, --files and --root_hash end the machine" in capsys.readouterr().err


def test_nothing_to_check(run, capsys):
    assert run("--ends") == 2
    assert "there is nothing to check: give --console, --commands, --units" in capsys.readouterr().err


class LocalShell:
    """A shell on this machine in the place of one on a console."""

    def __init__(self, _console):
        pass

    def login(self, user, password, timeout):
        pass

    def start(self, command):
        pass

    def run(self, command, timeout):
        assert "\n" not in command
        done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=timeout, check=False)
        return Result(done.returncode, (done.stdout + done.stderr).decode())


@pytest.fixture
def inside(run, monkeypatch, tmp_path):
    """Returns a function that checks this machine as if from inside, with stand-ins for programs of systemd."""
    monkeypatch.setattr(vm_boot_check, "Shell", LocalShell)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def inside(*words, **programs):
        for name, script in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        return run(*words)

    return inside


SYSTEMCTL = """case "$*" in
"is-system-running --wait") echo degraded; exit 1;;
"is-active -- good.service" | "is-active -- -.mount") echo active;;
"is-active -- bad.service") echo activating; exit 3;;
"status --no-pager --full --lines=0 -- bad.service") echo "bad.service - It is bad"; exit 3;;
*) echo "wrong: $*";;
esac"""


def test_a_unit_that_is_not_active_comes_with_its_journal(inside, capsys):
    journal = """[ "$*" = "--no-pager --lines=30 --unit=bad.service" ] && seq 5000 | sed 's/^/ü /'"""
    status = inside("--units=good.service", "--units=bad.service", systemctl=SYSTEMCTL, journalctl=journal)
    assert status == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[:3] == [
        "ok: the boot has ended",
        "ok: the unit good.service is active",
        "FAILED: the unit bad.service is active: status 3, 'activating'",
    ]
    assert lines[-1] == "    ?? 5000"
    assert len(lines) == 3 + 60


def test_the_status_of_a_unit_is_shown(inside, capsys):
    inside("--units=bad.service", systemctl=SYSTEMCTL, journalctl="echo crashed >&2")
    assert capsys.readouterr().out.splitlines()[2:] == ["    bad.service - It is bad", "    crashed"]


def test_long_lines_of_a_journal_are_cut(inside, capsys):
    inside("--units=bad.service", systemctl=SYSTEMCTL, journalctl="seq --separator= 100000")
    assert len(capsys.readouterr().out) < 17000


def test_a_console_that_fails_ends_the_diagnosis_alone(inside, capsys, monkeypatch):
    real = LocalShell.run

    def run(self, command, timeout):
        if "journalctl" in command:
            raise ConsoleError("console: the output was corrupted")
        return real(self, command, timeout)

    monkeypatch.setattr(LocalShell, "run", run)
    assert inside("--units=bad.service", '--commands={"echo 1": "1"}', systemctl=SYSTEMCTL) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "    there is no diagnosis: console: the output was corrupted",
        "ok: 'echo 1' says '1'",
    ]


@pytest.fixture
def ports():
    """A port on which this process listens, and one that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield listening.getsockname()[1], bound.getsockname()[1]


def test_a_port_that_is_free_comes_with_those_that_are_not(inside, ports, capsys):
    used, free = ports
    ss = 'echo "State $*"'
    assert inside(f"--ports=[{used}, {free}]", systemctl=SYSTEMCTL, ss=ss) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"ok: a program listens on the TCP port {used}",
        f"FAILED: a program listens on the TCP port {free}: status 1, ''",
        "    State --listening --tcp --numeric --processes",
    ]


def test_no_port_is_used(inside, tmp_path, capsys, monkeypatch):
    for name in ("grep", "sh", "tail", "tr"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert inside("--ports=[9]", systemctl=SYSTEMCTL, sed="") == 1
    assert capsys.readouterr().out.splitlines()[2:] == ["    no program listens on a TCP port"]


def test_ports_without_the_program_ss(inside, ports, capsys, tmp_path, monkeypatch):
    for name in ("grep", "sed", "sh", "tail", "tr"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    used, free = ports
    assert inside(f"--ports=[{free}]", systemctl=SYSTEMCTL) == 1
    lines = capsys.readouterr().out.splitlines()[2:]
    assert f"    a program listens on port {used}" in lines
    assert all(line.startswith("    a program listens on port ") for line in lines)


def test_a_file_with_another_text_is_named(inside, capsys, tmp_path):
    (tmp_path / "it's").write_text("one\n")
    files = f'{{"{tmp_path}/it\'s": "two", "/none": ".*"}}'
    assert inside(f"--files={files}", systemctl=SYSTEMCTL) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"FAILED: the text of {tmp_path}/it's is 'two': status 0, 'one'",
        "FAILED: the text of /none is '.*': status 1, 'cat: /none: No such file or directory'",
    ]


def test_files_have_regular_expressions(run, capsys):
    assert run('--files={"/etc/hosts": "("}') == 2
    assert "'(': is no regular expression" in capsys.readouterr().err
    assert run('--files={"/etc/hosts": "a{99999999999999999999}"}') == 2
    assert "'a{99999999999999999999}': is no regular expression" in capsys.readouterr().err


def test_names_that_begin_with_a_dash(inside, capsys, tmp_path):
    assert inside("--units=-.mount", systemctl=SYSTEMCTL) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ports=[0]"], "--ports: 0 is not a port; write a number from 1 to 65535"),
        (["--ports=[65536]"], "--ports: 65536 is not a port; write a number from 1 to 65535"),
        (['--files={"-n": ""}'], "--files: '-n' is not a path from the root; begin it with /"),
        (['--files={"/a\\nb": ""}'], "--files: '/a\\nb' has a line break or another control character, "),
        (["--units=a\nb"], "--units: 'a\\nb' has a line break or another control character, "),
        (
            ['--commands={"true\\ntrue": ""}'],
            "--commands: 'true\\ntrue' has a line break or another control character, ",
        ),
        (['--commands={"\\u0003": ""}'], "--commands: '\\x03' has a line break or another control character, "),
        ([f'--commands={{"echo {"x" * 3800}": ""}}'], f"--commands: 'echo {'x' * 35}'… has 3807 bytes for the shell, "),
        ([f'--commands={{"echo {"ü" * 1900}": ""}}'], f"--commands: 'echo {'ü' * 35}'… has 3807 bytes for the shell, "),
    ],
)
def test_refused_before_the_machine_boots(run, capsys, words, message):
    """Which takes minutes, and the console cannot do it."""
    assert run(*words) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {message}")
    assert not said.out


def test_the_longest_command_is_one_for_the_console():
    ours, theirs = socket.socketpair()
    command = "x " + "'" * 759
    assert len(shlex.quote(command)) == 3799
    theirs.close()
    with contextlib.closing(Console(ours)) as console, pytest.raises(ConsoleError):
        Shell(console).run(command, 1)


def test_long_outputs_are_shortened(inside, capsys):
    assert inside('--commands={"seq --separator=: 100000": "1"}') == 1
    said = capsys.readouterr().out
    assert "FAILED: 'seq --separator=: 100000' says '1': status 0, 588894 characters that end with '" in said
    assert said.endswith(":99999:100000'\n")
    assert len(said) < 1200
