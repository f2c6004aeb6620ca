"""Boots a disk image in QEMU and checks the running system, by what its console shows and by commands of a shell on it.

What the machine wrote to its disk is forgotten. The console's log is kept whatever comes out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.vm.boot_check import END_SECONDS, BootArguments, booted, read_text
from tools.vm.checks import Checks, check_root
from tools.vm.machine import Machine
from tools.vm.shell import Shell


@dataclass(frozen=True, kw_only=True)
class Arguments(BootArguments):
    """Arguments of the command line."""

    console: tuple[str, ...] = argument("regular expression that the console has to show, in this order", default=())
    commands: dict[str, str] | None = argument(
        "command of a shell to a regular expression that all of its output has to match", default=None
    )
    root_hash: FileName | None = argument(
        "file with the root hash that dm-verity must have opened the root with", default=None
    )

    ends: bool = argument("the machine has to power off by itself, after what the console has to show", default=False)

    @property
    def logs_in(self) -> bool:
        """Whether something is checked from inside."""
        return bool(self.commands) or self.root_hash is not None


def main(arguments: Arguments) -> None:
    """Boots the image and checks it."""
    if not arguments.console and not arguments.logs_in:
        raise UserError("there is nothing to check: give --console, --commands or --root_hash")
    if arguments.ends and arguments.logs_in:
        raise UserError("--ends: --commands and --root_hash end the machine, so it cannot do that; leave one out")
    _compile([*arguments.console, *(arguments.commands or {}).values()])
    with booted(arguments) as (machine, checks):
        for pattern in arguments.console:
            machine.console.expect(pattern, arguments.timeout)
            checks.true(f"the console shows {pattern!r}", value=True, otherwise="")
        if arguments.logs_in:
            if arguments.console:
                # The login prompt may have come before the last of these; an empty name brings another one.
                machine.console.write("\n")
            check_from_inside(machine, arguments, checks)
        if arguments.ends:
            machine.wait_end(arguments.timeout)
            checks.true("the machine ends", value=True, otherwise="")


def check_from_inside(machine: Machine, arguments: Arguments, checks: Checks) -> None:
    """Checks a system by commands of a shell on its console, and that it can be ended."""
    shell = Shell(machine.console)
    shell.login(arguments.user, arguments.password, arguments.timeout)
    for command, expected in (arguments.commands or {}).items():
        result = shell.run(command, arguments.timeout)
        actual = result.output.strip()
        checks.true(
            f"{command!r} says {expected!r}",
            result.status == 0 and re.fullmatch(expected, actual) is not None,
            f"status {result.status}, {actual!r}",
        )
    if arguments.root_hash is not None:
        check_root(shell, read_text(arguments.root_hash), checks)
    shell.start("poweroff")
    machine.wait_end(END_SECONDS)


def _compile(patterns: list[str]) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(
                f"{pattern!r}: is no regular expression: {error}; see the documentation of Python's re"
            ) from error


if __name__ == "__main__":
    run(main, Arguments, __doc__)
