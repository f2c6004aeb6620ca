"""The processors that machines are for, and what differs in QEMU between them."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A processor, and the machine that QEMU has for it.

    Attributes:
        name: the processor, as `uname -m` prints it.
        program: QEMU's executable.
        package: Debian's package with that executable.
        firmware_package: Debian's package with UEFI firmware.
        machine: the machine's type, for `-machine`.
        described_as: what the names of this type begin with in firmware descriptors.
        display: QEMU's device for a display, which the firmware writes to, and a kernel without a driver of its own.
        tpm: QEMU's device for a TPM 2.
        management_mode: whether there is a system management mode, which alone may write to the flash.
        flash_bytes: size in bytes of each of the two flash devices, and so of the firmware's files; None if a device is
            as large as its file.
    """

    name: str
    program: str
    package: str
    firmware_package: str
    machine: str
    described_as: str
    display: str
    tpm: str
    management_mode: bool
    flash_bytes: int | None = None


X86_64 = Architecture(
    name="x86_64",
    program="qemu-system-x86_64",
    package="qemu-system-x86",
    firmware_package="ovmf",
    machine="q35",
    described_as="pc-q35",
    display="bochs-display",
    tpm="tpm-crb",
    management_mode=True,
)

# https://www.qemu.org/docs/master/system/arm/virt.html; VIRT_FLASH in hw/arm/virt.c has the size of both devices. The
# firmware has no driver for bochs-display, and what it shows on virtio-gpu-pci ends with the firmware.
AARCH64 = Architecture(
    name="aarch64",
    program="qemu-system-aarch64",
    package="qemu-system-arm",
    firmware_package="qemu-efi-aarch64",
    machine="virt",
    described_as="virt",
    display="ramfb",
    tpm="tpm-tis-device",
    management_mode=False,
    flash_bytes=64 << 20,
)

ARCHITECTURES = {each.name: each for each in (AARCH64, X86_64)}
"""By name."""

ARCHITECTURE_HELP = f"processor of the machine, as `uname -m` prints it: {' or '.join(ARCHITECTURES)}"


def find_architecture(name: str) -> Architecture:
    """Returns the architecture of a name from a command line.

    Raises:
        UserError: there is none.
    """
    found = ARCHITECTURES.get(name)
    if found is None:
        raise UserError(f"--architecture: {name}: is not one that machines can have; give {' or '.join(ARCHITECTURES)}")
    return found
