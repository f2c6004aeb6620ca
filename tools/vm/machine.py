"""Runs a virtual machine in QEMU, with its serial console and QMP monitor."""

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
from tools.vm.architecture import X86_64, Architecture
from tools.vm.console import Console
from tools.vm.firmware import Firmware
from tools.vm.qemu import Qemu, option_value
from tools.vm.qmp import Qmp, QmpError
from tools.vm.tpm import start_tpm, tpm_arguments

_END_SECONDS = 20
_EXIT_WITH_PARENT = (10, 2)
"""First version of QEMU with -run-with exit-with-parent=on, which ends it even if this process is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A disk of a machine.

    Attributes:
        path: image file, or how QEMU finds the image, as `json:…`.
        format: `raw` or `qcow2`.
        keep: whether writes go to the file; otherwise they are discarded when the machine ends.
        read_only: whether the disk is read-only for the machine.
        removable: whether it is a removable disk, on virtio-scsi instead of virtio-blk.
        usb: whether it is a removable disk on USB instead.
        serial: serial number, by which the machine can identify the disk; at most 20 characters.
    """

    path: str
    format: str = "raw"
    keep: bool = False
    read_only: bool = False
    removable: bool = False
    usb: bool = False
    serial: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration of a machine.

    Attributes:
        qemu: QEMU to run, of the machine's architecture.
        firmware: firmware to boot.
        accel: accelerator, from `tools.vm.qemu.accelerator`.
        drives: disks, in the order of their PCI addresses, in which the firmware tries to boot from them, too.
        memory_mib: memory in MiB.
        cpus: number of processors; with emulation, a second one makes a boot slower.
        forwards: (port of 127.0.0.1, port of the machine) pairs for TCP port forwarding.
        network: whether there is a network card, with QEMU's user-mode network.
        watchdog: whether there is an i6300esb watchdog, which resets the machine.
        display: whether there is a display, of which `Machine.screenshot` takes pictures.
        tpm: directory of the state of a TPM 2, which `Machine` starts; None for a machine without one. A machine with
            the same directory has the same TPM.
        detached: whether QEMU goes on when the process that started it has ended.
        arguments: further arguments for QEMU.
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
    display: bool = False
    tpm: str | None = None
    detached: bool = False
    arguments: Sequence[str] = field(default=())


def command_line(settings: Settings, variables: str | None) -> list[str]:
    """Returns QEMU's command line for a machine, without console, monitor and TPM.

    Args:
        settings: configuration of the machine.
        variables: file with the firmware's variable store, a copy of the template; or None.
    """
    architecture = settings.qemu.architecture
    guarded = settings.firmware.secure_boot and architecture.management_mode
    command = [settings.qemu.program, "-nodefaults", "-accel", settings.accel, "-cpu", "max"]
    command += ["-machine", architecture.machine + (",smm=on" if guarded else "")]
    if settings.qemu.version >= _EXIT_WITH_PARENT and not settings.detached:
        command += ["-run-with", "exit-with-parent=on"]
    command += ["-smp", str(settings.cpus), "-m", str(settings.memory_mib)]
    if guarded:
        # Only system management mode may write to the flash, so that the machine can't change its Secure Boot keys.
        command += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    code = option_value(settings.firmware.code)
    command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
    if variables is not None:
        command += ["-drive", f"if=pflash,unit=1,format=raw,file={option_value(variables)}"]
    if any(drive.removable for drive in settings.drives):
        command += ["-device", "virtio-scsi-pci"]
    if any(drive.usb for drive in settings.drives):
        command += ["-device", "qemu-xhci"]
    for number, drive in enumerate(settings.drives):
        command += _drive(number, drive)
    if settings.network:
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{machine}" for host, machine in settings.forwards)
        command += ["-netdev", f"user,id=net0{forwards}", "-device", "virtio-net-pci,netdev=net0"]
    if settings.watchdog:
        command += ["-device", "i6300esb", "-action", "watchdog=reset"]
    if settings.display:
        command += ["-device", architecture.display]
    return [*command, *settings.arguments]


def _drive(number: int, drive: Drive) -> list[str]:
    # No data of a test needs to survive a crash of the host.
    options = (
        f"if=none,id=drive{number},format={drive.format},file={option_value(drive.path)},cache=unsafe,discard=unmap"
    )
    options += f",snapshot={'off' if drive.keep or drive.read_only else 'on'}"
    options += ",readonly=on" if drive.read_only else ""
    device = f"{_model(drive)},drive=drive{number}"
    device += ",removable=on" if drive.removable or drive.usb else ""
    device += f",serial={option_value(drive.serial)}" if drive.serial else ""
    # The firmware tries disks in their order, and does not wait for a server on the network before.
    device += f",bootindex={number}"
    return ["-drive", options, "-device", device]


def _model(drive: Drive) -> str:
    if drive.usb:
        return "usb-storage"
    return "scsi-hd" if drive.removable else "virtio-blk-pci"


def copy_variables(firmware: Firmware, folder: Path, architecture: Architecture = X86_64) -> str | None:
    """Returns the firmware's variable store in a machine's directory; copies the template if it doesn't exist.

    Args:
        firmware: the firmware.
        folder: directory of the machine.
        architecture: the machine's processor; the copy is padded to the size of its flash.

    Returns:
        Path of the file; None if the firmware has no separate file for variables.
    """
    if firmware.variables is None:
        return None
    variables = folder / "variables.fd"
    if not variables.exists():
        shutil.copyfile(firmware.variables, variables)
        if (size := architecture.flash_bytes or 0) > variables.stat().st_size:
            os.truncate(variables, size)
    return os.fspath(variables)


class Machine:
    """A running machine; a context manager that ends it in any case.

    Attributes:
        console: its first serial port.
        qmp: its QMP monitor.
    """

    console: Console
    qmp: Qmp

    def __init__(self, settings: Settings, folder: str | os.PathLike[str], log: str | os.PathLike[str]) -> None:
        """Creates a machine, which the `with` statement starts.

        Args:
            settings: configuration of the machine.
            folder: empty directory for temporary files; discarded writes to drives are stored in it.
            log: file to which the console's output is appended.
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
        architecture = self._settings.qemu.architecture
        variables = copy_variables(self._settings.firmware, self._folder, architecture)
        command = command_line(self._settings, variables)
        command += ["-display", "none"]
        command += ["-chardev", f"socket,id=console,fd={console_end.fileno()}", "-serial", "chardev:console"]
        command += ["-chardev", f"socket,id=monitor,fd={monitor_end.fileno()}", "-qmp", "chardev:monitor"]
        inherited = [console_end, monitor_end]
        if self._settings.tpm is not None:
            inherited.append(start_tpm(Path(self._settings.tpm), self._folder / "swtpm.log", cleanup))
            command += tpm_arguments(inherited[-1].fileno(), architecture)
        errors = cleanup.enter_context((self._folder / "qemu.log").open("wb"))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[each.fileno() for each in inherited],
            env={**os.environ, "TMPDIR": os.fspath(self._folder)},
        )
        cleanup.callback(self._end)
        for each in inherited:
            each.close()
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
        """Waits until QEMU has ended, for example after a power-off, and returns its exit status.

        Raises:
            UserError: it still runs after `timeout` seconds.
        """
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"the machine still runs after {timeout:g} s; it shows:\n{self.console.tail()}") from error

    def screenshot(self, path: str | os.PathLike[str]) -> None:
        """Writes what the display shows, as a PNG file.

        Raises:
            QmpError: QEMU has ended, or cannot write the file.
        """
        self.qmp.execute("screendump", filename=os.path.abspath(path), format="png")

    def _end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def create_overlay(image_tool: str, path: str, backing: str) -> None:
    """Creates a qcow2 overlay, which stores a machine's writes to an image; with mode 0600, as it will have its keys.

    Args:
        image_tool: path or name of `qemu-img`.
        path: file to create.
        backing: the image, raw, which is not modified.

    Raises:
        UserError: qemu-img fails.
    """
    command = [image_tool, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", os.path.abspath(backing), path]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, umask=0o077)
    except FileNotFoundError as error:
        raise UserError(f"{image_tool}: not found; install it (Debian: qemu-utils)") from error
    if result.returncode != 0:
        raise UserError(f"{path}: cannot be created by qemu-img: {result.stderr.strip()}")
