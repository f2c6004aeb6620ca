"""Finds QEMU and its firmware for tests in virtual machines."""

from __future__ import annotations

from typing import TypedDict

from tools.core.errors import UserError
from tools.testing.oracles import oracle, unavailable
from tools.vm.architecture import X86_64, Architecture
from tools.vm.firmware import Firmware, find_firmware
from tools.vm.qemu import Qemu, accelerator, find_qemu


class Emulator(TypedDict):
    """Members of `tools.vm.machine.Settings` that depend on what is installed."""

    qemu: Qemu
    firmware: Firmware
    accel: str


def emulator(architecture: Architecture = X86_64) -> Emulator:
    """Returns QEMU, its firmware and the accelerator; skips (or fails) the calling test if one is missing."""
    oracle(architecture.program)
    try:
        qemu, firmware = find_qemu(architecture=architecture), find_firmware(architecture=architecture)
    except UserError as error:
        unavailable(str(error))
    return Emulator(qemu=qemu, firmware=firmware, accel=accelerator(qemu, firmware))
