"""Boots a disk image in QEMU and checks the running system, by what its console shows and by commands of a shell on it.

What the machine wrote to its disk is forgotten. The console's log is kept whatever comes out.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.vm.checks import Checks, check_root, default_log
from tools.vm.firmware import find_firmware
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.qemu import accelerator, find_qemu
from tools.vm.shell import Shell

_END_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    disk: FileName = argument("the disk image, raw or as the one member of a tar", positional=True)
    console: tuple[str, ...] = argument("regular expression that the console has to show, in this order", default=())
    commands: dict[str, str] | None = argument(
        "command of a shell to a regular expression that all of its output has to match", default=None
    )
    user: str = argument("account that logs in on the console where there are commands", default="root")
    password: str = argument("its password", default="root")
    root_hash: FileName | None = argument(
        "file with the root hash that dm-verity must have opened the root with", default=None
    )
    secure_boot: bool = argument("boot with UEFI Secure Boot, with enrolled keys", default=False)
    log: FileName | None = argument(
        "file for all the console shows; by default among Bazel's test outputs", default=None
    )
    qemu: str | None = argument("QEMU; by default qemu-system-x86_64 on PATH", default=None)
    accel: str | None = argument("accelerator; by default KVM where it works, else emulation", default=None)
    memory_mib: int = argument("memory of the machine, in MiB", default=1024)
    timeout: int = argument("limit for the boot, and for each command, in seconds", default=600)

    @property
    def logs_in(self) -> bool:
        """Whether something is checked from inside."""
        return bool(self.commands) or self.root_hash is not None


def main(arguments: Arguments) -> None:
    """Boots the image and checks it."""
    if not arguments.console and not arguments.logs_in:
        raise UserError("there is nothing to check: give --console, --commands or --root_hash")
    _compile([*arguments.console, *(arguments.commands or {}).values()])
    qemu = find_qemu(arguments.qemu)
    firmware = find_firmware(arguments.secure_boot)
    accel = arguments.accel or accelerator(qemu, firmware)
    checks = Checks()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="boot-test-") as folder:
        disk = str(Path(folder, "disk.img"))
        write_raw(open_image(arguments.disk), disk)
        settings = Settings(
            qemu=qemu,
            firmware=firmware,
            accel=accel,
            drives=[Drive(path=disk)],
            memory_mib=arguments.memory_mib,
        )
        with Machine(settings, folder, arguments.log or default_log()) as machine:
            for pattern in arguments.console:
                machine.console.expect(pattern, arguments.timeout)
                checks.true(f"the console shows {pattern!r}", value=True, otherwise="")
            if arguments.logs_in:
                if arguments.console:
                    # The login prompt may have come before the last of these; an empty name brings another one.
                    machine.console.write("\n")
                check_from_inside(machine, arguments, checks)
    print(f"{time.monotonic() - started:.0f} s with {accel}")
    checks.raise_failed(arguments.disk)


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
        check_root(shell, _text(arguments.root_hash), checks)
    shell.start("poweroff")
    machine.wait_end(_END_SECONDS)


def _compile(patterns: list[str]) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(
                f"{pattern!r}: is no regular expression: {error}; see the documentation of Python's re"
            ) from error


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


if __name__ == "__main__":
    run(main, Arguments, __doc__)
