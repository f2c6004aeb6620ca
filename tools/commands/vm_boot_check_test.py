"""The command with a console of the test; boot tests of images run it with machines."""

import contextlib
import socket

import pytest

from tools.commands import vm_boot_check
from tools.core.cli import call
from tools.core.errors import UserError
from tools.vm.checks import Checks
from tools.vm.console import Console


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
    """Returns a function that runs the command on such a machine, and returns its exit status."""

    def run(*words, ends=True):
        @contextlib.contextmanager
        def booted(_arguments):
            ours, theirs = socket.socketpair()
            theirs.sendall(b"ready\r\n")
            console, checks = Console(ours), Checks()
            with theirs, contextlib.closing(console):
                yield Machine(console, ends), checks

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


def test_a_login_ends_it(run, capsys):
    assert run("--ends", '--commands={"true": ""}') == 2
    assert "--ends: --commands and --root_hash end the machine" in capsys.readouterr().err


def test_nothing_to_check(run, capsys):
    assert run("--ends") == 2
    assert "there is nothing to check: give --console, --commands or --root_hash" in capsys.readouterr().err
