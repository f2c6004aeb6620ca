"""Boots a GuestOS disk image in QEMU and checks the running system, from inside over its console where it has one.

What the machine wrote to its disk is forgotten. The console's log is kept whatever comes out.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guestos_tools.access_control_check import check_access_control, violations
from guestos_tools.bootstrap_media import medium
from guestos_tools.data_volume_check import check_data_volume
from guestos_tools.hardening_check import check_hardening
from guestos_tools.launch_medium import configuration
from guestos_tools.observation_check import check_log_shipping, check_metrics_and_journal
from guestos_tools.payload_check import (
    DASHBOARD_PORT,
    check_payload,
    registry_folder,
    status_on_dashboard,
    until_healthy,
)
from guestos_tools.replica_check import check_replica_account
from guestos_tools.session_check import check_sessions
from tools.core.cli import argument, run
from tools.core.json_spec import FileName
from tools.core.text import escaped
from tools.image.rawfile import write_raw
from tools.vm import ssh
from tools.vm.boot_check import END_SECONDS, BootArguments, booted, read_text
from tools.vm.checks import Checks, check_root
from tools.vm.machine import Drive, Machine
from tools.vm.network import forwarded_port, greeting
from tools.vm.shell import Shell

_SSH_PORT = 22
_PORT_SECONDS = 20
_HOST = "10.0.2.2"
"""The address at which a machine reaches 127.0.0.1 of the host, behind QEMU's own network."""
_DASHBOARD = f"[::1]:{DASHBOARD_PORT}"
_WATCHDOGS = ("/dev/watchdog0", "/dev/watchdog")
"""Names of the first watchdog. systemd takes the second where the first does not exist yet, right after its driver is
loaded."""

_PROMPTS = {
    "a login": r"login: ?$",
    "a question for a password": r"[Pp]assword: ?$",
    "a shell": r"([#$]|grub>|Shell>) ?$",
    "an emergency": r"Press Enter|emergency mode|rescue mode",
}
"""What a way in looks like, as patterns in lines of the console."""


@dataclass(frozen=True, kw_only=True)
class Arguments(BootArguments):
    """What the command line takes."""

    version: FileName = argument("file with the version that the system must have")
    root_hash: FileName = argument("file with the root hash that the root must have, in hex")
    variant: Literal["dev", "prod"] = argument("dev: root logs in on the console; prod: there must be no way in")
    slot: Literal["A", "B"] = argument("the slot that must be booted", default="A")
    memory_mib: int = argument("memory of the machine, in MiB", default=2048)


def main(arguments: Arguments) -> None:
    """Boots the image and checks it."""
    forwards = [(0, _SSH_PORT), (0, DASHBOARD_PORT)]
    with tempfile.TemporaryDirectory(prefix="boot-check-") as folder:
        dev = arguments.variant == "dev"
        drives = [bootstrap_medium(Path(folder), logins=dev)]
        # Both numbers of processors are tried; with emulation one is faster, and dev has the longer checks.
        cpus = 1 if dev else 2
        with booted(arguments, drives=drives, cpus=cpus, forwards=forwards, watchdog=True) as (machine, checks):
            if dev:
                check_from_inside(machine, arguments, checks)
            else:
                check_from_outside(machine, arguments, checks)


def bootstrap_medium(folder: Path, *, logins: bool) -> Drive:
    """Returns a bootstrap medium with a registry that has the node in a subnet.

    Args:
        folder: for its files.
        logins: whether there is a key for logins, as `launch-local-vm --ssh_key` adds it.
    """
    key = folder / "test-key.pub"
    key.write_bytes(ssh.key_pair()[1])
    root = configuration(None, str(key) if logins else None)
    root.entries[b"ic_registry_local_store"] = registry_folder()
    path = folder / "medium.img"
    write_raw(medium(root), path)
    return Drive(path=str(path), read_only=True, removable=True)


def check_from_inside(machine: Machine, arguments: Arguments, checks: Checks) -> None:
    """Checks a system by commands of a shell on its console."""
    version, root_hash = read_text(arguments.version), read_text(arguments.root_hash)
    shell = Shell(machine.console)
    shell.login(arguments.user, arguments.password, arguments.timeout)
    state = shell.run("systemctl is-system-running --wait", arguments.timeout).output.strip()
    checks.equal("the system is up", state, "running")
    units = shell.check("systemctl list-units --failed --plain --no-legend --no-pager").splitlines()
    checks.equal("no unit failed", units, [])
    for unit in units:
        for line in shell.run(f"journalctl --boot --no-pager --unit={unit.split()[0]}").output.splitlines():
            print(escaped(line))
    watchdog = shell.check("systemctl show --property=WatchdogDevice --value")
    checks.true("systemd feeds the watchdog", watchdog in _WATCHDOGS, watchdog)
    checks.equal("slot", shell.check("/opt/ic/bin/manageboot.sh current"), arguments.slot)
    check_root(shell, root_hash, checks)
    checks.equal("the file system of the root is", shell.check("findmnt --noheadings --output FSTYPE /"), "ext4")
    checks.equal("version", shell.check("cat /opt/ic/share/version.txt"), version)
    checks.equal("version in the boot partition", shell.check("cat /boot/version.txt"), version)
    check_payload(shell, version, arguments.timeout, checks)
    check_replica_account(shell, checks)
    check_hardening(shell, arguments.variant, checks)
    check_data_volume(shell, checks)
    check_metrics_and_journal(shell, version, checks)
    check_log_shipping(shell, _HOST, arguments.timeout, checks)
    port, (private_key, _) = forwarded_port(machine, _SSH_PORT), ssh.key_pair()
    check_sessions(shell, _HOST, checks, private_key=private_key, timeout=arguments.timeout, port=port)
    for account in ("root", "admin"):
        forwards = ssh.forwards(shell, f"{account}@{_HOST}", _DASHBOARD, arguments.timeout, port)
        checks.equal(f"a session of {account} forwards connections", forwards, False)
    check_access_control(shell, "complain", checks)
    status = json.loads(shell.check("/opt/ic/bin/manageboot.sh status --json"))
    checks.equal("the boot is confirmed", (status["stable"], status["confirmed"]), (True, arguments.slot))
    if arguments.secure_boot:
        kernel = shell.check("journalctl --dmesg --output=cat --grep='[Ss]ecure ?boot' --no-pager")
        checks.true("the kernel says that Secure Boot is enabled", "Secure boot enabled" in kernel, kernel)
    shell.start("systemctl poweroff")
    machine.wait_end(END_SECONDS)


def check_from_outside(machine: Machine, arguments: Arguments, checks: Checks) -> None:
    """Checks a system that lets nobody in: it works, and neither console nor network leads anywhere."""
    machine.console.expect(r"Reached target .*multi-user\.target", arguments.timeout, "the end of the boot")
    port = forwarded_port(machine, DASHBOARD_PORT)
    status = until_healthy(lambda: status_on_dashboard(port), arguments.timeout)
    checks.equal("the replica is healthy", (status.get("status"), status.get("problems")), ("healthy", []))
    checks.equal("version", status.get("version"), read_text(arguments.version))
    said = greeting(forwarded_port(machine, _SSH_PORT), _PORT_SECONDS)
    checks.equal("nothing answers at the port of SSH", said, b"")
    machine.console.write("\n")
    machine.console.write(f"{arguments.user}\n")
    machine.console.write(f"{arguments.password}\n")
    # By the time that the machine is off, whatever reads from the console has answered.
    machine.qmp.execute("system_powerdown")
    machine.wait_end(END_SECONDS)
    initialized = re.findall(r"AppArmor: AppArmor initialized(.*?)\r*$", machine.console.text, re.MULTILINE)
    checks.equal("AppArmor is initialized, and not in complain mode", initialized, [""])
    checks.equal("what AppArmor denied", violations(machine.console.text.splitlines()), [])
    for what, pattern in _PROMPTS.items():
        lines = re.findall(f"^.*{pattern}.*$", machine.console.text, re.MULTILINE)
        checks.equal(f"the console never shows {what}", lines, [])


if __name__ == "__main__":
    run(main, Arguments, __doc__)
