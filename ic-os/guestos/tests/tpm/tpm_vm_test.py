"""The keys of the encrypted volumes are sealed by the TPM of the machine, to its firmware and to the product's images.

One disk is started again and again, as it is left by the machine before.
"""

from pathlib import Path

from guestos.partition import punch_hole
from upgrade_checks import BACK, MANAGEBOOT, check_own_keys, install_back, status, without_orchestrator

from tools.gpt.reader import read_table
from tools.image.rawfile import open_raw, write_data, write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.testing.oracles import oracle
from tools.testing.own_keys import own_firmware
from tools.vm.firmware import find_firmware
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.shell import Shell

DISK = Path("ic-os/guestos/tests/tpm/own-keys-disk-img.tar")
UPDATE = Path("ic-os/guestos/tests/tpm/own-keys-update-img-test.tar")
BOOT = Path("ic-os/guestos/tests/tpm/own-keys-boot.img.tar")
OTHER_BOOT = Path("ic-os/guestos/tests/tpm/own-keys-boot-other-pcr-key.img.tar")
CERTIFICATE = Path("ic-os/guestos/secure-boot-keys/test-only.pem")
BOOT_SECONDS = 900
SEALED = "/boot/config/disk-key.cred"
DECRYPT = f"systemd-creds decrypt --name=disk-key --tpm2-signature=/run/systemd/tpm2-pcr-signature.json {SEALED} -"
REFUSED = rf"the TPM does not open {SEALED}, and var is left unchanged"
MISSING = "this machine has no TPM 2, by which the key of var is sealed, and var is left unchanged"
MADE = "the TPM has sealed a new key for the encrypted volumes"
INDEX = "/opt/ic/share/rollback-index.txt"
FLOOR = "/boot/config/rollback-index.txt"
CONFIRM = f"systemd-run --quiet --wait --property=AppArmorProfile=manageboot {MANAGEBOOT} confirm"
BELOW = "initramfs: slot A has the rollback index 0, and this machine starts none below 1"
KEPT_IN_STORE = "/var/lib/ic/data/kept"
KEPT = f"/boot/config/kept /var/kept {KEPT_IN_STORE}"


class Disk:
    """The disk of a machine, and what starts one from it."""

    def __init__(self, folder, artifacts):
        self._folder, self._artifacts = folder, artifacts
        self._emulator = emulator() | {"firmware": own_firmware(folder, CERTIFICATE)}
        self._path = folder / "disk.img"
        write_raw(open_image(DISK), self._path)

    def put_boot(self, path):
        """Replaces the boot partition of slot A by an image."""
        (entry,) = (entry for entry in read_table(open_raw(self._path)).entries if entry.name == "A_boot")
        with self._path.open("r+b") as disk:
            punch_hole(disk.fileno(), entry.offset, entry.size)
            write_data(open_image(path), disk.fileno(), entry.offset)

    def start(self, name, tpm="tpm", update=None, **changes):
        """Returns a machine with the TPM of a name, or without one, and with the disk of an update."""
        folder = self._folder / name
        folder.mkdir()
        settings = Settings(
            **self._emulator | changes,
            drives=[Drive(path=str(self._path), keep=True)]
            + ([Drive(path=str(update), read_only=True, serial=BACK)] if update else []),
            network=False,
            memory_mib=2048,
            tpm=tpm and str(self._folder / tpm),
        )
        return Machine(settings, folder, self._artifacts / f"{name}-console.log")


def logged_in(machine):
    """Logs in on a machine."""
    shell = Shell(machine.console)
    shell.login("root", "root", BOOT_SECONDS)
    return shell


def check_locked(shell):
    """Checks that the key is neither on the disk nor given out by the TPM."""
    shell.check(f'test -s {SEALED} && test ! -e /boot/config/store.keyfile && test -z "$(ls -A /run/guestos/luks)"')
    assert shell.run(DECRYPT, BOOT_SECONDS).status != 0
    denied = shell.run("journalctl --dmesg --output=cat --no-pager --grep='profile=\"setup-'", BOOT_SECONDS)
    assert denied.status != 0, denied.output


def check_kept(shell):
    """Checks that the volumes are those of before."""
    assert shell.check(f"cat {KEPT}").split() == ["kept"] * 3


def end(machine, shell):
    shell.start("poweroff")
    machine.wait_end(BOOT_SECONDS)


def format_volumes(disk):
    """The first boot makes the key and formats the volumes."""
    with disk.start("first") as machine:
        shell = logged_in(machine)
        assert MADE in machine.console.text
        check_own_keys(shell)
        check_locked(shell)
        shell.check(f"for file in {KEPT}; do echo kept >$file; done; sync")
        end(machine, shell)


def upgrade_and_fall_back(disk):
    """Another version in the other slot opens the store; it isn't confirmed, so the next boot is of the first one.

    The machine does not start any more when this has ended.
    """
    with disk.start("upgrade", arguments=without_orchestrator(), update=UPDATE) as machine:
        shell = logged_in(machine)
        check_kept(shell)
        check_locked(shell)
        install_back(shell, UPDATE.stat().st_size)
        shell.start(f"{MANAGEBOOT} upgrade-commit")
        shell = logged_in(machine)
        assert status(shell)["current"] == "B"
        assert shell.check(f"cat {KEPT_IN_STORE}") == "kept"
        check_locked(shell)
        shell.start("systemctl reboot")
        shell = logged_in(machine)
        assert (status(shell)["current"], status(shell)["boot_state"]) == ("A", "fallback")
        check_kept(shell)
        assert machine.console.text.count(MADE) == 0
        refuse_below_the_floor(machine, shell)


def refuse_others(disk):
    """Another machine, one without a TPM, and this one with other certificates or images don't open the volumes."""
    with disk.start("other-tpm", "other-tpm") as machine:
        machine.console.expect(REFUSED, BOOT_SECONDS)
    with disk.start("no-tpm", None) as machine:
        machine.console.expect(MISSING, BOOT_SECONDS)
    with disk.start("other-firmware", firmware=find_firmware()) as machine:
        machine.console.expect(REFUSED, BOOT_SECONDS)
    # The same system, signed by the same key for Secure Boot, and by another one for the TPM.
    disk.put_boot(OTHER_BOOT)
    with disk.start("other-pcr-key") as machine:
        machine.console.expect(REFUSED, BOOT_SECONDS)
    disk.put_boot(BOOT)


def refuse_below_the_floor(machine, shell):
    """Without the file of the floor, the system isn't started any more after one with a higher index was confirmed."""
    shell.check(f"echo 1 >/run/index && mount --bind /run/index {INDEX}")
    shell.check(CONFIRM, BOOT_SECONDS)
    assert shell.check(f"cat {FLOOR}") == "1"
    denied = shell.run("journalctl --dmesg --output=cat --no-pager --grep='name=\"/dev/tpm'", BOOT_SECONDS)
    assert denied.status != 0, denied.output
    shell.check(f"rm {FLOOR} && sync")
    shell.start("systemctl reboot")
    machine.console.expect(BELOW, BOOT_SECONDS)


def test_the_volumes_open_on_the_machine_that_formatted_them(tmp_path, artifacts):
    oracle("swtpm")
    disk = Disk(tmp_path, artifacts)
    format_volumes(disk)
    refuse_others(disk)
    # None of them has formatted something or changed the sealed key: the next boot opens the volumes.
    upgrade_and_fall_back(disk)
