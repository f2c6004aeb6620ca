"""Finds QEMU, and determines whether it can use KVM."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.vm.architecture import X86_64, Architecture
from tools.vm.firmware import Firmware

MIN_VERSION = (10, 0)
"""Minimum version: older ones emulate cmpxchg16b wrongly, so that kernels from 6.12 on panic."""

_VERSION = re.compile(r"QEMU emulator version (\d+)\.(\d+)")

_KVM = "/dev/kvm"
_EMULATION = "tcg,thread=multi"
_PROBE_SECONDS = 20
_BOOT_MANAGER = b"BdsDxe: "
"""Prefix of the boot manager's messages in EDK II."""
_CRASH = b"KVM internal error"


@dataclass(frozen=True, slots=True)
class Qemu:
    """A QEMU of a supported version.

    Attributes:
        program: path of the executable.
        version: major and minor number.
        architecture: the processor of its machines.
    """

    program: str
    version: tuple[int, int]
    architecture: Architecture = X86_64


def find_qemu(program: str | None = None, architecture: Architecture = X86_64) -> Qemu:
    """Returns the QEMU to use.

    Args:
        program: path or name; by default the architecture's program in PATH, such as `qemu-system-x86_64`.
        architecture: the processor of its machines.

    Raises:
        UserError: it doesn't exist, or is too old.
    """
    name = program or architecture.program
    path = shutil.which(name)
    if path is None:
        raise UserError(f"{name}: not found; install QEMU 10 or newer (Debian: {architecture.package})")
    try:
        result = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"{path}: cannot be run: {error}") from error
    match = _VERSION.search(result.stdout)
    if match is None:
        raise UserError(f"{path}: is not QEMU: --version says {result.stdout.strip()[:80]!r}")
    version = (int(match[1]), int(match[2]))
    if version < MIN_VERSION:
        raise UserError(f"{path}: is version {version[0]}.{version[1]}; 10.0 or newer is needed")
    return Qemu(path, version, architecture)


def accelerator(qemu: Qemu, firmware: Firmware) -> str:
    """Returns the value for `-accel`: `kvm` if it works, else multi-threaded emulation.

    KVM is for machines with this machine's own processor. It may not work even if /dev/kvm can be opened, for example
    with broken nested virtualization. So a machine without disks is run until its firmware prints that there is nothing
    to boot.
    """
    if qemu.architecture.name != platform.machine():
        return _EMULATION
    if os.access(_KVM, os.R_OK | os.W_OK) and reaches_firmware(qemu, firmware, "kvm"):
        return "kvm"
    return _EMULATION


def reaches_firmware(qemu: Qemu, firmware: Firmware, accel: str) -> bool:
    """Returns whether a machine with an accelerator reaches the firmware's boot manager."""
    command = [qemu.program, "-accel", accel, "-machine", qemu.architecture.machine, "-cpu", "max", "-m", "256"]
    command += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-monitor", "none"]
    command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={option_value(firmware.code)}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(_PROBE_SECONDS, process.kill)
    timer.start()
    shown = b""
    try:
        assert process.stdout is not None
        while data := process.stdout.read1(1 << 12):  # type: ignore[attr-defined]
            shown = (shown + data)[-1 << 16 :]
            if _BOOT_MANAGER in shown:
                return True
            if _CRASH in shown:
                return False
        return False
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def option_value(text: str) -> str:
    """Escapes commas in a value of an option of QEMU."""
    return text.replace(",", ",,")
