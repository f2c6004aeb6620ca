"""Boots a disk image in QEMU and checks the running system, by what its console shows and by commands of a shell on it.

What the machine wrote to its disk is forgotten. The console's log is kept whatever comes out. If a unit is not active,
or nothing listens on a port, the output has what the machine says about it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.core.text import escaped
from tools.vm.boot_check import END_SECONDS, BootArguments, booted, read_text
from tools.vm.checks import Checks, check_root
from tools.vm.console import ConsoleError
from tools.vm.machine import Machine
from tools.vm.shell import Shell

_JOURNAL_LINES = 30
_DIAGNOSIS_LINES = 60
_DIAGNOSIS_BYTES = 16384

_MOST_BYTES = 3800
"""Most bytes of a quoted command: with what `Shell` adds, it is within a line of the kernel's terminal."""

_SHOWN = 1000
"""How many characters a message has of an output."""

_NOT_TYPED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that a terminal takes for commands."""

_LISTENING = (
    "if command -v ss >/dev/null; then ss --listening --tcp --numeric --processes; else "
    # Local port, remote port, and state 0A, TCP_LISTEN: proc_net_tcp in the documentation of the kernel.
    r"ports=$(sed -n 's/^ *[0-9]*: [0-9A-F]*:\([0-9A-F]*\) [0-9A-F]*:0000 0A .*/0x\1/p' /proc/net/tcp /proc/net/tcp6 "
    r'2>/dev/null); for port in $ports; do printf "a program listens on port %d\n" "$port"; done; '
    '[ -n "$ports" ] || echo "no program listens on a TCP port"; fi'
)
"""Prints who listens on which TCP port, also in a system without the package iproute2."""


@dataclass(frozen=True, kw_only=True)
class Arguments(BootArguments):
    """Arguments of the command line."""

    console: tuple[str, ...] = argument("regular expression that the console has to show, in this order", default=())
    commands: dict[str, str] | None = argument(
        "command of a shell to a regular expression that all of its output has to match", default=None
    )
    units: tuple[str, ...] = argument("unit of systemd that has to be active when the boot has ended", default=())
    ports: tuple[int, ...] = argument("TCP port that a program of the machine has to listen on", default=())
    files: dict[str, str] | None = argument(
        "file of the machine to a regular expression that all of its text has to match", default=None
    )
    root_hash: FileName | None = argument(
        "file with the root hash that dm-verity must have opened the root with", default=None
    )

    ends: bool = argument("the machine has to power off by itself, after what the console has to show", default=False)

    @property
    def logs_in(self) -> bool:
        """Whether something is checked from inside."""
        return bool(self.commands or self.units or self.ports or self.files) or self.root_hash is not None


@dataclass(frozen=True, slots=True)
class Expectation:
    """A command of a shell and what it has to print.

    Attributes:
        what: what is checked, for messages.
        command: the command, which has to succeed.
        expected: regular expression for its output, without white space around it.
        diagnosis: command that says more if that fails; empty for none.
    """

    what: str
    command: str
    expected: str
    diagnosis: str = ""


def main(arguments: Arguments) -> None:
    """Boots the image and checks it."""
    if not arguments.console and not arguments.logs_in:
        raise UserError(
            "there is nothing to check: give --console, --commands, --units, --ports, --files or --root_hash"
        )
    if arguments.ends and arguments.logs_in:
        raise UserError(
            "--ends: --commands, --units, --ports, --files and --root_hash end the machine, so it cannot do that; "
            "leave one out"
        )
    _check(arguments)
    _compile([*arguments.console, *(arguments.commands or {}).values(), *(arguments.files or {}).values()])
    with booted(arguments) as (machine, checks):
        expect_in_order(machine, arguments.console, arguments.timeout, checks)
        if arguments.logs_in:
            if arguments.console:
                # The login prompt may have come before the last of these; an empty name brings another one.
                machine.console.write("\n")
            check_from_inside(machine, arguments, checks)
        if arguments.ends:
            machine.wait_end(arguments.timeout)
            checks.true("the machine ends", value=True, otherwise="")


def expect_in_order(machine: Machine, patterns: Sequence[str], timeout: float, checks: Checks) -> None:
    """Waits until the console has shown patterns, one after the other.

    Raises:
        ConsoleError: one did not come in time, or only before the one that it has to follow.
    """
    for number, pattern in enumerate(patterns):
        try:
            machine.console.expect(pattern, timeout)
        except ConsoleError as error:
            if number and re.search(pattern, machine.console.text, re.MULTILINE):
                raise ConsoleError(
                    f"console: {pattern!r} came before {patterns[number - 1]!r}, and has to come after it; --console "
                    "has the order of the lines: change it, or check one of them by --commands, --units or --files\n"
                    f"{error}"
                ) from error
            raise
        checks.true(f"the console shows {pattern!r}", value=True, otherwise="")


def check_from_inside(machine: Machine, arguments: Arguments, checks: Checks) -> None:
    """Checks a system by commands of a shell on its console, and that it can be ended."""
    shell = Shell(machine.console)
    shell.login(arguments.user, arguments.password, arguments.timeout)
    for expectation in expectations(arguments):
        check_expectation(shell, expectation, arguments.timeout, checks)
    if arguments.root_hash is not None:
        check_root(shell, read_text(arguments.root_hash), checks)
    shell.start("poweroff")
    machine.wait_end(END_SECONDS)


def expectations(arguments: Arguments) -> Iterator[Expectation]:
    """Yields what the arguments expect of a shell in the machine, in the order in which it is checked."""
    if arguments.units or arguments.ports or arguments.files:
        # The login comes before the boot has ended.
        yield Expectation("the boot has ended", "systemctl is-system-running --wait || :", ".*")
    for unit in arguments.units:
        name = shlex.quote(unit)
        yield Expectation(
            f"the unit {unit} is active",
            f"systemctl is-active -- {name}",
            "active",
            f"systemctl status --no-pager --full --lines=0 -- {name}; "
            f"journalctl --no-pager --lines={_JOURNAL_LINES} --unit={name}",
        )
    for port in arguments.ports:
        row = f":{port:04X} [0-9A-F]+:0000 0A "
        command = f"grep -qE '{row}' /proc/net/tcp /proc/net/tcp6 2>/dev/null"
        yield Expectation(f"a program listens on the TCP port {port}", command, "", _LISTENING)
    for path, text in (arguments.files or {}).items():
        yield Expectation(f"the text of {path} is {text!r}", f"cat -- {shlex.quote(path)}", text)
    for command, expected in (arguments.commands or {}).items():
        yield Expectation(f"{command!r} says {expected!r}", command, expected)


def check_expectation(shell: Shell, expectation: Expectation, timeout: float, checks: Checks) -> None:
    """Checks an expectation; if it fails, prints what its diagnosis says."""
    result = shell.run(expectation.command, timeout)
    actual = result.output.strip()
    is_met = result.status == 0 and re.fullmatch(expectation.expected, actual) is not None
    checks.true(expectation.what, is_met, f"status {result.status}, {_shortened(actual)}")
    if is_met or not expectation.diagnosis:
        return
    # In ASCII, since a cut may be inside of a character.
    bounded = f"tail -n {_DIAGNOSIS_LINES} | tail -c {_DIAGNOSIS_BYTES} | tr -c '\\t\\n -~' '?'"
    try:
        said = shell.run(f"{{ export LC_ALL=C; {expectation.diagnosis}; }} 2>&1 | {bounded}", timeout).output
    except ConsoleError as error:
        said = f"there is no diagnosis: {error}"
    for line in said.splitlines():
        print(escaped(f"    {line}"), flush=True)


def _shortened(output: str) -> str:
    """Returns an output in quotes, at most the end of it."""
    return repr(output) if len(output) <= _SHOWN else f"{len(output)} characters that end with {output[-_SHOWN:]!r}"


def _check(arguments: Arguments) -> None:
    """Refuses what cannot be checked, before the machine boots.

    Raises:
        UserError: something is no unit, port or file, or no line that can be typed on a console.
    """
    for port in arguments.ports:
        if not 0 < port < 1 << 16:
            raise UserError(f"--ports: {port} is not a port; write a number from 1 to 65535")
    for path in arguments.files or {}:
        if not path.startswith("/"):
            raise UserError(f"--files: {path!r} is not a path from the root; begin it with /")
    for flag, texts in {"units": arguments.units, "files": arguments.files, "commands": arguments.commands}.items():
        for text in texts or ():
            if _NOT_TYPED.search(text):
                raise UserError(
                    f"--{flag}: {text[:_SHOWN]!r} has a line break or another control character, which a console takes "
                    "for the end of a line; join the lines of a command by ;, or put it into a script of the image"
                )
            if (size := len(shlex.quote(text).encode())) > _MOST_BYTES:
                raise UserError(
                    f"--{flag}: {text[:40]!r}… has {size} bytes for the shell, and a line of a console at most "
                    f"{_MOST_BYTES}; put a long command into a script of the image"
                )


def _compile(patterns: list[str]) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise UserError(
                f"{pattern!r}: is no regular expression: {error}; see the documentation of Python's re"
            ) from error


if __name__ == "__main__":
    run(main, Arguments, __doc__)
