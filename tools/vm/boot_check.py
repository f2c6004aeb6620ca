"""Boots a disk image in QEMU to check its system; shared by the commands that do this."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.vm.architecture import ARCHITECTURE_HELP, X86_64, find_architecture
from tools.vm.checks import Checks, default_log, undeclared_output
from tools.vm.disk import forgetful_drive
from tools.vm.firmware import firmware_with
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.qemu import accelerator, find_qemu
from tools.vm.toolchain import HELP, checked_files

END_SECONDS = 300
"""Timeout for a shutdown, in seconds."""
_PICTURE = "screen.png"


@dataclass(frozen=True, kw_only=True)
class BootArguments:
    """Arguments of all commands that boot a disk image."""

    disk: FileName = argument("the disk image, raw or in a tar with one member", positional=True)
    architecture: str = argument(ARCHITECTURE_HELP, default=X86_64.name)
    user: str = argument("account for the login on the console", default="root")
    password: str = argument("its password", default="root")
    secure_boot: bool = argument("boot with UEFI Secure Boot and enrolled keys", default=False)
    firmware_variables: FileName | None = argument(
        "variable store with the keys of a product: boot with UEFI Secure Boot and these keys alone", default=None
    )
    tpm: bool = argument("the machine has a TPM 2, a new one; needs swtpm", default=False)
    log: OutputName | None = argument(
        "file for the console's output; by default in Bazel's undeclared test outputs", default=None
    )
    screenshot: OutputName | None = argument(
        "PNG file for a picture of the display when a check fails; by default screen.png among Bazel's undeclared test "
        "outputs",
        default=None,
    )
    qemu: str | None = argument("path or name of QEMU; by default qemu-system-ARCHITECTURE in PATH", default=None)
    toolchain: dict[str, FileName] | None = argument(HELP, default=None)
    accel: str | None = argument("accelerator; by default KVM if it works, else emulation", default=None)
    memory_mib: int = argument("memory of the machine, in MiB", default=1024)
    timeout: int = argument("timeout for the boot and for each command, in seconds", default=600)


@contextmanager
def booted(
    arguments: BootArguments,
    *,
    drives: Sequence[Drive] = (),
    cpus: int = 1,
    forwards: Sequence[tuple[int, int]] = (),
    watchdog: bool = False,
) -> Iterator[tuple[Machine, Checks]]:
    """Boots a copy of a disk image; yields the machine and its checks, and ends the machine at the end of the context.

    The console's log is kept in any case, and a picture of the display when the first check fails.

    Args:
        arguments: the disk image, and how to boot it.
        drives: further drives of the machine, after the disk.
        cpus: see `Settings`.
        forwards: see `Settings`.
        watchdog: see `Settings`.

    Raises:
        UserError: a program is missing, or the machine can't be started.
        CheckError: a check failed.
    """
    files = checked_files(arguments.toolchain)
    qemu = find_qemu(arguments.qemu or files.get("qemu"), find_architecture(arguments.architecture))
    firmware = firmware_with(arguments.secure_boot, arguments.firmware_variables, files, qemu.architecture)
    accel = arguments.accel or accelerator(qemu, firmware)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="boot-check-") as folder:
        settings = Settings(
            qemu=qemu,
            firmware=firmware,
            accel=accel,
            drives=[forgetful_drive(arguments.disk, Path(folder)), *drives],
            memory_mib=arguments.memory_mib,
            cpus=cpus,
            forwards=forwards,
            watchdog=watchdog,
            display=True,
            tpm=str(Path(folder, "tpm")) if arguments.tpm else None,
        )
        with Machine(settings, folder, arguments.log or default_log()) as machine:
            picture = arguments.screenshot or undeclared_output(_PICTURE)
            checks = Checks(lambda: _take_picture(machine, picture))
            try:
                yield machine, checks
            except UserError:
                if not checks.failed:
                    _take_picture(machine, picture)
                raise
    print(f"{time.monotonic() - started:.0f} s with {accel}")
    checks.raise_failed(arguments.disk)


def _take_picture(machine: Machine, path: str | None) -> None:
    """Writes a picture of a machine's display, if it has not ended."""
    if path is None:
        return
    try:
        machine.screenshot(path)
    except UserError as error:
        print(f"there is no picture of the display: {error}")
    else:
        print(f"the display is in {path}")


def read_text(path: str) -> str:
    """Returns the content of a text file, without leading and trailing whitespace.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
