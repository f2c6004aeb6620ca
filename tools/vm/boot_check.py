"""A boot of a disk image in QEMU, to check the system on it: what all commands that do this have in common."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.vm.checks import Checks, default_log
from tools.vm.firmware import find_firmware
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.qemu import accelerator, find_qemu

END_SECONDS = 300
"""How long a shutdown may take."""


@dataclass(frozen=True, kw_only=True)
class BootArguments:
    """Arguments of every command that boots a disk image."""

    disk: FileName = argument("the disk image, raw or as the one member of a tar", positional=True)
    user: str = argument("account that logs in on the console", default="root")
    password: str = argument("its password", default="root")
    secure_boot: bool = argument("boot with UEFI Secure Boot, with enrolled keys", default=False)
    log: FileName | None = argument(
        "file for all the console shows; by default among Bazel's test outputs", default=None
    )
    qemu: str | None = argument("QEMU; by default qemu-system-x86_64 on PATH", default=None)
    accel: str | None = argument("accelerator; by default KVM where it works, else emulation", default=None)
    memory_mib: int = argument("memory of the machine, in MiB", default=1024)
    timeout: int = argument("limit for the boot, and for each command, in seconds", default=600)


@contextmanager
def booted(
    arguments: BootArguments,
    *,
    drives: Sequence[Drive] = (),
    cpus: int = 1,
    forwards: Sequence[tuple[int, int]] = (),
    watchdog: bool = False,
) -> Iterator[tuple[Machine, Checks]]:
    """Boots a copy of a disk image, for as long as the context lasts; returns the machine and its checks.

    The console's log is kept whatever comes out.

    Args:
        arguments: the disk image, and how to boot it.
        drives: further drives of the machine, after the disk.
        cpus: as in `Settings`, like the following.
        forwards: ports of the machine that can be reached from here.
        watchdog: whether the machine has a watchdog.

    Raises:
        UserError: something is missing on this machine, or, at the end, a check failed.
    """
    qemu = find_qemu(arguments.qemu)
    firmware = find_firmware(arguments.secure_boot)
    accel = arguments.accel or accelerator(qemu, firmware)
    checks = Checks()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="boot-check-") as folder:
        disk = str(Path(folder, "disk.img"))
        write_raw(open_image(arguments.disk), disk)
        settings = Settings(
            qemu=qemu,
            firmware=firmware,
            accel=accel,
            drives=[Drive(path=disk), *drives],
            memory_mib=arguments.memory_mib,
            cpus=cpus,
            forwards=forwards,
            watchdog=watchdog,
        )
        with Machine(settings, folder, arguments.log or default_log()) as machine:
            yield machine, checks
    print(f"{time.monotonic() - started:.0f} s with {accel}")
    checks.raise_failed(arguments.disk)


def read_text(path: str) -> str:
    """Returns the text in a file, without space around it.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
