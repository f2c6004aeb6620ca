"""What an upgrade in a virtual machine must keep, and upgrades by the operator's commands on the machine's console."""

from __future__ import annotations

import base64
import json
from typing import Any

from tools.vm.checks import Checks
from tools.vm.machine import Machine
from tools.vm.shell import Shell

MANAGEBOOT = "/opt/ic/bin/manageboot.sh"
BACK = "back"
"""Serial number of the disk that has the update image for the way back."""

_BOOT_SECONDS = 600
_INSTALL_SECONDS = 1200
_END_SECONDS = 300
_REFUSED = 3
_NO_ORCHESTRATOR = b"[Unit]\nConditionPathExists=/nowhere\n"
_KEPT = "/etc/machine-id /boot/config/ssh/ssh_host_ed25519_key.pub /boot/config/kept /var/lib/ic/data/kept"


def without_orchestrator() -> list[str]:
    """Returns arguments of QEMU that disable the orchestrator, which would confirm each boot."""
    dropin = base64.b64encode(_NO_ORCHESTRATOR).decode()
    credential = f"io.systemd.credential.binary:systemd.unit-dropin.ic-replica.service={dropin}"
    return ["-smbios", f"type=11,value={credential}"]


def status(shell: Shell) -> dict[str, Any]:
    """Returns the state of boot and slots."""
    result: dict[str, Any] = json.loads(shell.check(f"{MANAGEBOOT} status --json"))
    return result


def check_own_keys(shell: Shell) -> None:
    """Checks that a machine in own-key mode has started the system of slot A, and nothing but what its keys signed."""
    assert shell.check("cat /sys/kernel/security/lockdown").startswith("none [integrity]")
    assert "TRUST=own_keys" in shell.check("cat /run/guestos/boot").split()
    state = status(shell)
    assert (state["current"], state["boot_state"], state["confirmed"]) == ("A", "stable", "A")
    words = shell.check("cat /proc/cmdline").split()
    assert not [word for word in words if word.startswith(("dfinity.system", "dfinity.boot_state"))]
    assert "Secure boot enabled" in shell.check("journalctl --dmesg --output=cat --no-pager --grep='ecure boot'")


def mark(shell: Shell) -> str:
    """Writes files whose folders an upgrade keeps, and one in the slot's own /var; returns what `identity` has."""
    shell.check("for folder in /boot/config /var/lib/ic/data /var; do echo kept >$folder/kept; done; sync")
    return identity(shell)


def identity(shell: Shell) -> str:
    """Returns checksums of files that an upgrade must keep."""
    return shell.check(f"sha256sum {_KEPT}")


def check_refused(shell: Shell, action: str, message: str, checks: Checks) -> None:
    """Checks that manageboot.sh refuses an action."""
    result = shell.run(f"{MANAGEBOOT} {action}")
    checks.equal(f"exit status of {action}", result.status, _REFUSED)
    checks.true(f"the message of {action}", message in result.output, result.output)


def install_back(shell: Shell, size: int) -> None:
    """Installs the update image on the disk with the serial number BACK.

    Args:
        shell: of root.
        size: of the image, in bytes.
    """
    # The limit is for the page cache, too: what is left of 64 MB for Python and zstd is less.
    limits = "-p MemoryMax=64M -p MemorySwapMax=0"
    source = f"head --bytes={size} /dev/disk/by-id/virtio-{BACK}"
    command = f"{source} | systemd-run --quiet --wait --pipe {limits} {MANAGEBOOT} upgrade-install -"
    print(shell.check(command, _INSTALL_SECONDS), flush=True)


def commit_and_end(machine: Machine, shell: Shell) -> None:
    """Commits an upgrade; ends the machine where it would boot the other slot."""
    machine.qmp.execute("set-action", reboot="shutdown")
    shell.start(f"{MANAGEBOOT} upgrade-commit")
    machine.wait_end(_END_SECONDS)


def hang(machine: Machine, shell: Shell, checks: Checks) -> None:
    """Freezes systemd, so that the system hangs, and waits until the watchdog resets the machine."""
    timeout = int(shell.check("cat /sys/class/watchdog/watchdog0/timeout"))
    checks.true("the time of the watchdog", 0 < timeout <= 120, str(timeout))
    shell.start("sync; echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze")
    checks.equal("the watchdog's action", machine.qmp.wait_event("WATCHDOG", _BOOT_SECONDS)["action"], "reset")
    # On a slow machine it would reset the next boot, too, before systemd feeds it.
    machine.qmp.execute("set-action", watchdog="none")
