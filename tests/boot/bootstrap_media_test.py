"""Configures a machine by bootstrap media: it ignores a damaged one, takes the next one in, and never another."""

import base64
import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from guestos_tools.bootstrap_media import main as build_medium
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.oracles import oracle
from tools.vm.firmware import find_firmware
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.qemu import accelerator, find_qemu
from tools.vm.shell import Shell

DISK = "ic-os/guestos/dev/disk-img.tar"
BOOT_SECONDS = 600
END_SECONDS = 300
REMOVABLE = ("-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=medium,removable=on")
PLAIN = ("-device", "virtio-blk-pci,drive=medium")


class Lab:
    """A machine whose disk stays from boot to boot."""

    def __init__(self, folder):
        self.folder = folder
        self.disk = folder / "disk.img"
        write_raw(open_image(DISK), self.disk)
        self.qemu, self.firmware = find_qemu(), find_firmware()
        self.accel = accelerator(self.qemu, self.firmware)
        self.log = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", folder), "console.log")

    def boot(self, medium, device, examine):
        """Boots with a medium, logs in, lets the system be examined, and shuts it down."""
        settings = Settings(
            qemu=self.qemu,
            firmware=self.firmware,
            accel=self.accel,
            drives=[Drive(path=os.fspath(self.disk), keep=True)],
            arguments=["-drive", f"if=none,id=medium,format=raw,readonly=on,file={medium}", *device],
        )
        with Machine(settings, self.folder, self.log) as machine:
            shell = Shell(machine.console)
            shell.login("root", "root", BOOT_SECONDS)
            # Waits for the end of the boot; the state itself is a matter of other tests.
            shell.run("systemctl is-system-running --wait", BOOT_SECONDS)
            examine(shell)
            shell.start("systemctl poweroff")
            machine.wait_end(END_SECONDS)


def key_pair():
    """Returns the halves of a key as OpenSSH has them in files."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), public


def media(folder, public):
    """Returns a damaged medium, a good one, and another good one."""
    keys = folder / "keys"
    keys.mkdir()
    (keys / "admin").write_bytes(public + b" somebody\n")
    options = ["--ipv6_address=2001:db8::2/48", "--ipv6_gateway=2001:db8::1", "--name_servers=2001:db8::53"]
    options += ["--nns_url=https://nns.example", f"--accounts_ssh_authorized_keys={keys}"]
    damaged, good, other = (folder / f"{name}.img" for name in ("damaged", "good", "other"))
    build_medium([*options, "--hostname=first", str(good)])
    build_medium(["--hostname=second", str(other)])
    content = good.read_bytes()
    assert content.count(b"network.conf") == 1
    damaged.write_bytes(content.replace(b"network.conf", b"networX.conf"))  # the header's checksum is wrong now
    return damaged, good, other


def journal(shell):
    return shell.check("journalctl --boot --unit=bootstrap.service --output=cat --no-pager")


def log_in(shell, private):
    """Logs in as admin by SSH, from the machine itself; returns the account that it led to."""
    encoded = base64.b64encode(private).decode()
    shell.check(f"umask 077; echo {encoded} | base64 --decode >/run/key")
    options = "-q -i /run/key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    return shell.check(f"ssh {options} admin@127.0.0.1 id -un", BOOT_SECONDS)


def test_one_configuration_is_taken_in():
    oracle("qemu-system-x86_64")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        private, public = key_pair()
        damaged, good, other = media(folder, public)
        lab = Lab(folder)
        hostnames = []

        def nothing_was_taken_in(shell):
            said = journal(shell)
            assert "the bootstrap configuration is ignored: " in said
            assert "ic-bootstrap.tar: is " in said
            assert shell.run("test -e /boot/config/CONFIGURED || test -e /boot/config/network.conf").status != 0
            hostnames.append(shell.check("hostname"))
            assert hostnames[0] != "first"

        def all_was_taken_in(shell):
            assert "imported ic-bootstrap.tar from " in journal(shell)
            assert shell.check("hostname") == "first"
            assert "2001:db8::2/48" in shell.check("ip -6 -brief address show scope global")
            assert "default via 2001:db8::1 " in shell.check("ip -6 route show default")
            assert "2001:db8::53" in shell.check("resolvectl dns")
            assert shell.check("cat /boot/config/nns.conf") == "nns_url=https://nns.example"
            assert log_in(shell, private) == "admin"

        def nothing_else_was_taken_in(shell):
            assert "imported" not in journal(shell)
            assert shell.check("hostname") == "first"
            assert "hostname=second" not in shell.check("cat /boot/config/network.conf")
            assert log_in(shell, private) == "admin"

        lab.boot(damaged, REMOVABLE, nothing_was_taken_in)
        lab.boot(good, REMOVABLE, all_was_taken_in)
        lab.boot(other, PLAIN, nothing_else_was_taken_in)
