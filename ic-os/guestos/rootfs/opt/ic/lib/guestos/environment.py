"""The paths and commands of a machine that the upgrade code depends on; tests replace them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guestos.metrics import FOLDER as METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Paths, commands and the clock of a machine.

    Attributes:
        grubenv: the file with the boot cycle; the file `confirmed` is beside it.
        booted: the file in which the initramfs records what was booted.
        layout: the file in which the initramfs lists the partitions of the disk, one per line: number, name, GUID.
        devices: directory with links to the partitions of the booted disk by their names, such as `B_root`.
        share: directory with the image's version, product, variant and update keys.
        boot: mount point of the boot partition of the slot that runs.
        config: mount point of the config store.
        metrics: directory for the text files of node_exporter.
        synchronized: the file that exists if a time server has set the clock since the boot.
        variables: directory with the variables of the firmware.
        tpm: the device of the TPM 2; it does not exist on a machine without one.
        reboot: the command that reboots the machine.
        update_loader: the command that starts `manageboot.sh update-loader` as a service.
        now: returns the time, in seconds since the epoch.
    """

    grubenv: str = "/boot/grub/grubenv"
    booted: str = "/run/guestos/boot"
    layout: str = "/run/guestos/layout"
    devices: str = "/dev/guestos"
    share: str = "/opt/ic/share"
    boot: str = "/boot"
    config: str = "/boot/config"
    metrics: str = METRICS
    synchronized: str = "/run/systemd/timesync/synchronized"
    variables: str = "/sys/firmware/efi/efivars"
    tpm: str = "/dev/tpmrm0"
    reboot: Sequence[str] = ("/usr/bin/systemctl", "--no-block", "reboot")
    update_loader: Sequence[str] = ("/usr/bin/systemctl", "--no-block", "start", "update-loader.service")
    now: Callable[[], float] = time.time

    def partition(self, slot: str, name: str) -> str:
        """Returns the device of a slot's partition on the booted disk; `name` is boot, root or var."""
        return f"{self.devices}/{slot}_{name}"
