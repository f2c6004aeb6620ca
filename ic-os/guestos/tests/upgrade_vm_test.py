"""Upgrades of a GuestOS image in a virtual machine: one confirmed, with a power cut; and one that hangs before it is.

The first disk has the update image and the second one the system, so that a program that uses the first disk instead of
the booted one fails. The orchestrator is disabled, because it would confirm each boot; the test confirms.
"""

import base64
import json
import re
from pathlib import Path

import pytest

from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.shell import Shell

IMAGES = Path("ic-os/guestos/dev")
NO_ORCHESTRATOR = b"[Unit]\nConditionPathExists=/nowhere\n"

BOOT_SECONDS = 600
INSTALL_SECONDS = 1200
MANAGEBOOT = "/opt/ic/bin/manageboot.sh"


class Guest:
    """A running machine; `boot` waits for its next boot and checks the system."""

    def __init__(self, machine):
        self.machine = machine
        self.shell = Shell(machine.console)
        self.kept = None

    def boot(self, slot, reason, version):
        self.shell.login("root", "root", BOOT_SECONDS)
        self.shell.run("systemctl is-system-running --wait", BOOT_SECONDS)
        assert self.shell.check("systemctl list-units --failed --plain --no-legend --no-pager") == ""
        status = self.status()
        assert (status["current"], status["boot_state"], status["version"]) == (slot, reason, version)
        assert self.shell.check("cat /boot/version.txt") == version
        # Fault 29: the disk is not the first one, and has another name than in the images' own tests.
        assert self.shell.check("findmnt --noheadings --output SOURCE /boot").startswith("/dev/vdb")
        if self.kept is None:
            folders = "/boot/config /var/lib/ic/data /var"
            self.shell.check(f"for folder in {folders}; do echo kept >$folder/kept; done; sync")
            self.kept = self.identity()
        assert self.identity() == self.kept
        return status

    def identity(self):
        """Returns checksums of the files that an upgrade must keep."""
        names = "/etc/machine-id /boot/config/ssh/ssh_host_ed25519_key.pub /boot/config/kept /var/lib/ic/data/kept"
        return self.shell.check(f"sha256sum {names}")

    def status(self):
        return json.loads(self.shell.check(f"{MANAGEBOOT} status --json"))

    def install(self, source):
        # The limit is for the page cache, too: what is left of 64 MB for Python and zstd is less.
        limits = "-p MemoryMax=64M -p MemorySwapMax=0"
        command = f"{source} | systemd-run --quiet --wait --pipe {limits} {MANAGEBOOT} upgrade-install -"
        print(self.shell.check(command, INSTALL_SECONDS), flush=True)

    def commit(self):
        self.shell.start(f"{MANAGEBOOT} upgrade-commit")

    def hang(self):
        """Freezes systemd, so that the system hangs, and waits until the watchdog resets the machine."""
        timeout = int(self.shell.check("cat /sys/class/watchdog/watchdog0/timeout"))
        assert 0 < timeout <= 120
        self.shell.start("sync; echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze")
        assert self.machine.qmp.wait_event("WATCHDOG", BOOT_SECONDS)["action"] == "reset"

    def refuses(self, action, message):
        result = self.shell.run(f"{MANAGEBOOT} {action}")
        assert (result.status, message in result.output) == (3, True), result


@pytest.fixture
def guest(tmp_path, artifacts):
    disk = tmp_path / "disk.img"
    write_raw(open_image(IMAGES / "disk-img.tar"), disk)
    dropin = base64.b64encode(NO_ORCHESTRATOR).decode()
    credential = f"io.systemd.credential.binary:systemd.unit-dropin.ic-replica.service={dropin}"
    settings = Settings(
        **emulator(),
        drives=[
            Drive(path=str(IMAGES / "update-img-test.tar"), read_only=True, serial="test"),
            Drive(path=str(disk), keep=True),
            Drive(path=str(IMAGES / "update-img.tar.zst"), read_only=True, serial="back"),
        ],
        watchdog=True,
        arguments=["-smbios", f"type=11,value={credential}"],
    )
    with Machine(settings, tmp_path, artifacts / "console.log") as machine:
        yield Guest(machine)


def test_upgrades(guest):
    version = (IMAGES / "version.txt").read_text().strip()
    test_version = (IMAGES / "version-test.txt").read_text().strip()
    update = "cat /dev/disk/by-id/virtio-test"
    size = (IMAGES / "update-img.tar.zst").stat().st_size

    status = guest.boot("A", "stable", version)
    assert status["stable"]
    guest.refuses("upgrade-commit", "nothing was installed there")
    guest.install(update)
    assert guest.status()["slots"]["B"] == {"state": "ready", "version": test_version, "problem": None}

    guest.commit()
    status = guest.boot("B", "first_boot", test_version)
    assert (status["stable"], status["slots"]["B"]["state"]) == (False, "on trial")
    assert guest.shell.run("test -e /var/kept").status == 1, "the slot has its own, new /var"
    guest.refuses("upgrade-install -", "an upgrade needs a confirmed system")
    # The power goes right after the confirmation.
    guest.shell.check(f"{MANAGEBOOT} confirm")
    guest.machine.qmp.execute("system_reset")
    status = guest.boot("B", "stable", test_version)
    assert status["stable"]
    guest.shell.check("echo kept >/var/kept; sync")

    # Back, from a compressed image. Fault 36: the new system hangs before it is confirmed, the watchdog resets it, and
    # the one before boots.
    guest.install(f"head --bytes={size} /dev/disk/by-id/virtio-back")
    guest.commit()
    guest.boot("A", "first_boot", version)
    assert guest.shell.run("test -e /var/kept").status == 1
    guest.hang()
    status = guest.boot("B", "fallback", test_version)
    assert status["slots"]["A"]["state"] == "not confirmed"
    assert re.search("fell back to slot B: slot A with version .* was not confirmed", " ".join(status["notes"]))
    guest.shell.check("test -e /var/kept")
