"""Where things are on a machine; tests have an environment of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The paths that the upgrade and the boot state need.

    Attributes:
        grubenv: the boot state; the file `confirmed` is beside it.
        booted: what the initial RAM file system says was booted.
        layout: the partitions that it knows, one a line: number, name, GUID.
        devices: the folder that has the partitions of the booted disk by their names, such as `B_root`.
        share: what the image says of itself, and the keys for updates.
        config: the config store.
        metrics: node_exporter's folder for text files.
        command_line: the kernel's.
        reboot: the command that starts the machine over.
        now: returns the time, in seconds since the epoch.
    """

    grubenv: str = "/boot/grub/grubenv"
    booted: str = "/run/guestos/boot"
    layout: str = "/run/guestos/layout"
    devices: str = "/dev/guestos"
    share: str = "/opt/ic/share"
    config: str = "/boot/config"
    metrics: str = "/run/node_exporter"
    command_line: str = "/proc/cmdline"
    reboot: Sequence[str] = ("/usr/bin/systemctl", "--no-block", "reboot")
    now: Callable[[], float] = time.time

    def partition(self, slot: str, name: str) -> str:
        """Returns the device of a slot's partition on the booted disk; `name` is boot, root or var."""
        return f"{self.devices}/{slot}_{name}"
