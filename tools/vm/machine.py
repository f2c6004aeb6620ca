"""A virtual machine: built from settings, started, talked to over its console and monitor, and always ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.core.errors import UserError
from tools.vm.console import Console
from tools.vm.firmware import Firmware
from tools.vm.qemu import Qemu, option_value
from tools.vm.qmp import Qmp, QmpError

_END_SECONDS = 20
_EXIT_WITH_PARENT = (10, 2)
"""The first version of QEMU that can end with us, even where we are killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A disk of a machine, on virtio.

    Attributes:
        path: the file.
        format: `raw` or `qcow2`.
        keep: whether what the machine writes goes to the file; else it is forgotten at the machine's end.
        read_only: whether the machine may not write.
        removable: whether it is a removable disk, such as a USB stick, on virtio-scsi instead of virtio-blk.
        serial: the disk's serial number, by which the machine can tell it from others; at most 20 characters.
    """

    path: str
    format: str = "raw"
    keep: bool = False
    read_only: bool = False
    removable: bool = False
    serial: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a machine is made of.

    Attributes:
        qemu: the QEMU to run.
        firmware: the firmware to start.
        accel: the accelerator, as `tools.vm.qemu.accelerator` returns it.
        drives: the disks, in the order in which the machine finds them.
        memory_mib: the memory in MiB.
        cpus: the number of processors; where they are emulated, a second one makes a boot slower, not faster.
        forwards: TCP ports of 127.0.0.1 that lead to ports of the machine, as (host's, machine's) pairs.
        network: whether there is a network card, behind QEMU's own network.
        watchdog: whether there is an i6300esb watchdog, which resets the machine.
        arguments: further arguments to QEMU.
    """

    qemu: Qemu
    firmware: Firmware
    accel: str
    drives: Sequence[Drive]
    memory_mib: int = 2048
    cpus: int = 1
    forwards: Sequence[tuple[int, int]] = ()
    network: bool = True
    watchdog: bool = False
    arguments: Sequence[str] = field(default=())


def command_line(settings: Settings, variables: str | None) -> list[str]:
    """Returns the command that runs a machine, but for its console and monitor.

    Args:
        settings: what the machine is made of.
        variables: the file that holds the firmware's variables, a copy of the template; None where there is none.
    """
    secure = settings.firmware.secure_boot
    command = [settings.qemu.program, "-nodefaults", "-accel", settings.accel, "-cpu", "max"]
    command += ["-machine", "q35,smm=on" if secure else "q35"]
    if settings.qemu.version >= _EXIT_WITH_PARENT:
        command += ["-run-with", "exit-with-parent=on"]
    command += ["-smp", str(settings.cpus), "-m", str(settings.memory_mib)]
    if secure:
        # Only code in system management mode may write to the flash: else the machine could change its own keys.
        command += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    code = option_value(settings.firmware.code)
    command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
    if variables is not None:
        command += ["-drive", f"if=pflash,unit=1,format=raw,file={option_value(variables)}"]
    if any(drive.removable for drive in settings.drives):
        command += ["-device", "virtio-scsi-pci"]
    for number, drive in enumerate(settings.drives):
        command += _drive(number, drive)
    if settings.network:
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{machine}" for host, machine in settings.forwards)
        command += ["-netdev", f"user,id=net0{forwards}", "-device", "virtio-net-pci,netdev=net0"]
    if settings.watchdog:
        command += ["-device", "i6300esb", "-action", "watchdog=reset"]
    return [*command, *settings.arguments]


def _drive(number: int, drive: Drive) -> list[str]:
    # What is forgotten at the end, or may be, need not survive a power cut of the host.
    options = (
        f"if=none,id=drive{number},format={drive.format},file={option_value(drive.path)},cache=unsafe,discard=unmap"
    )
    options += f",snapshot={'off' if drive.keep or drive.read_only else 'on'}"
    options += ",readonly=on" if drive.read_only else ""
    device = f"scsi-hd,drive=drive{number},removable=on" if drive.removable else f"virtio-blk-pci,drive=drive{number}"
    device += f",serial={option_value(drive.serial)}" if drive.serial else ""
    return ["-drive", options, "-device", device]


def copy_variables(firmware: Firmware, folder: Path) -> str | None:
    """Returns the file with the firmware's variables in a machine's folder: at first a copy of their template.

    Args:
        firmware: the firmware.
        folder: the machine's folder.

    Returns:
        The file's path; None where the firmware has no file of its own for them.
    """
    if firmware.variables is None:
        return None
    variables = folder / "variables.fd"
    if not variables.exists():
        shutil.copyfile(firmware.variables, variables)
    return os.fspath(variables)


class Machine:
    """A machine that runs; use it in a `with` statement, which ends it whatever happens.

    Attributes:
        console: its first serial port.
        qmp: its monitor.
    """

    console: Console
    qmp: Qmp

    def __init__(self, settings: Settings, folder: str | os.PathLike[str], log: str | os.PathLike[str]) -> None:
        """Takes what the machine is made of; `with` starts it.

        Args:
            settings: what it is made of.
            folder: an empty folder for its temporary files: as much as it writes to drives that do not keep it.
            log: the file that gets all that the console shows; written from its end.
        """
        self._settings = settings
        self._folder = Path(folder)
        self._log = Path(log)
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            self._start(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _start(self, cleanup: contextlib.ExitStack) -> None:
        console, console_end = socket.socketpair()
        cleanup.callback(console_end.close)
        monitor, monitor_end = socket.socketpair()
        cleanup.callback(monitor_end.close)
        command = command_line(self._settings, copy_variables(self._settings.firmware, self._folder))
        command += ["-display", "none"]
        command += ["-chardev", f"socket,id=console,fd={console_end.fileno()}", "-serial", "chardev:console"]
        command += ["-chardev", f"socket,id=monitor,fd={monitor_end.fileno()}", "-qmp", "chardev:monitor"]
        errors = cleanup.enter_context((self._folder / "qemu.log").open("wb"))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=(console_end.fileno(), monitor_end.fileno()),
            env={**os.environ, "TMPDIR": os.fspath(self._folder)},
        )
        cleanup.callback(self._end)
        console_end.close()
        monitor_end.close()
        log = cleanup.enter_context(self._log.open("ab"))
        self.console = Console(console, log)
        cleanup.callback(self.console.close)
        try:
            self.qmp = Qmp(monitor)
        except QmpError as error:
            said = (self._folder / "qemu.log").read_text(errors="replace").strip()
            raise UserError(f"{self._settings.qemu.program}: does not start: {said or error}") from error
        cleanup.callback(self.qmp.close)

    def wait_end(self, timeout: float) -> int:
        """Waits until QEMU has ended, such as when the machine was powered off, and returns its exit status.

        Raises:
            UserError: it still runs after `timeout` seconds.
        """
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"the machine still runs after {timeout:g} s; it shows:\n{self.console.tail()}") from error

    def cut_power(self) -> None:
        """Ends the machine at once, as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def create_overlay(image_tool: str, path: str, backing: str, backing_format: str = "raw") -> None:
    """Makes a qcow2 file that takes up what a machine writes, over an image that stays as it is.

    Args:
        image_tool: the path or name of `qemu-img`.
        path: the file to make.
        backing: the image.
        backing_format: its format.

    Raises:
        UserError: qemu-img fails.
    """
    command = [image_tool, "create", "-q", "-f", "qcow2", "-F", backing_format, "-b", os.path.abspath(backing), path]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError(f"{image_tool}: not found; install it (Debian: qemu-utils)") from error
    if result.returncode != 0:
        raise UserError(f"{path}: cannot be made by qemu-img: {result.stderr.strip()}")
