import json

import pytest

from tools.core.errors import CheckError
from tools.vm.checks import Checks, check_root
from tools.vm.shell import Result


def test_what_a_machine_says_is_no_command_for_the_terminal(capsys):
    checks = Checks()
    checks.true("the unit runs", value=False, otherwise="it says \x1b[2J\nok: all")
    assert capsys.readouterr().out == "FAILED: the unit runs: it says \\x1b[2J\\nok: all\n"
    with pytest.raises(CheckError):
        checks.raise_failed("machine")


class Machine:
    """A shell that answers with what programs print, by the first word of a command."""

    def __init__(self, source, options, target="verity"):
        self.outputs = {
            "findmnt": json.dumps({"filesystems": [{"source": source, "options": options}]}),
            "dmsetup table": f"0 8 {target} 1 /dev/vda3 /dev/vda3 4096 4096 1 1 sha256 abcd 00",
            "dmsetup status": "0 8 verity V",
        }

    def check(self, command):
        return next(output for start, output in self.outputs.items() if command.startswith(start))

    def run(self, command):
        assert command == "touch /etc/written"
        return Result(1, "")


def failures(machine):
    checks = Checks()
    check_root(machine, "abcd", checks)
    return checks.failed


def test_root_of_any_file_system():
    assert failures(Machine("/dev/mapper/root", "ro,relatime")) == []


@pytest.mark.parametrize(
    ("machine", "failed"),
    [
        (Machine("/dev/vda3", "ro"), "root is on"),
        (Machine("/dev/mapper/root", "rw,relatime"), "root is read-only"),
        (Machine("/dev/mapper/root", "ro", "linear"), "root is opened by dm-verity with the root hash"),
    ],
)
def test_root_without_protection(machine, failed):
    assert failures(machine) == [failed]
