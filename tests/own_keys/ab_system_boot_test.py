"""An appliance of ab_system in own-key mode boots with firmware that trusts its key alone, and updates itself."""

from pathlib import Path

from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.testing.own_keys import own_firmware
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.shell import Shell

DISK = Path("tests/own_keys/disk.tar")
CERTIFICATE = Path("ic-os/guestos/secure-boot-keys/test-only.pem")
UPDATE = "/usr/lib/ab-system/ab-update"
BOOT_SECONDS = 600


def test_an_update_boots_in_the_other_slot(tmp_path, artifacts):
    write_raw(open_image(DISK), tmp_path / "disk.img")
    own = emulator() | {"firmware": own_firmware(tmp_path, CERTIFICATE)}
    drive = Drive(path=str(tmp_path / "disk.img"))
    settings = Settings(**own, drives=[drive], network=False, memory_mib=2048, cpus=2)
    with Machine(settings, tmp_path, artifacts / "console.log") as machine:
        shell = Shell(machine.console)
        shell.login("root", "root", BOOT_SECONDS)
        shell.run("systemctl is-system-running --wait", BOOT_SECONDS)
        assert shell.check(f"{UPDATE} status") == "slot A, version 1, confirmed"
        assert "ab.slot" not in shell.check("cat /proc/cmdline")
        assert "Secure boot enabled" in shell.check("journalctl --dmesg --output=cat --no-pager --grep='ecure boot'")
        shell.check(f"{UPDATE} install /data/update.tar", BOOT_SECONDS)
        shell.start("systemctl reboot")
        shell = Shell(machine.console)
        shell.login("root", "root", BOOT_SECONDS)
        shell.run("systemctl is-system-running --wait", BOOT_SECONDS)
        assert shell.check(f"{UPDATE} status") == "slot B, version 2, confirmed"
        shell.check("mount -r -t vfat /dev/disk/by-partlabel/esp /mnt")
        state = shell.check("head -n 4 /mnt/EFI/debian/slots").split()
        assert state[-3:] == ["slot=B", "trial=", "rollback_index=2"]
