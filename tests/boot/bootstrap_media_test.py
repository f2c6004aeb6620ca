"""Configures a machine by bootstrap media: it ignores a damaged one, imports the next one, and ignores all others."""

import os
import tempfile
from pathlib import Path

from guestos_tools.bootstrap_media import main as build_medium
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.vm import ssh
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.shell import Shell

PEM = "-----BEGIN %s-----\nMIGCMB0GDSsGAQQB\n-----END %s-----\n"
DISK = "ic-os/guestos/dev/disk-img.tar"
BOOT_SECONDS = 600
END_SECONDS = 300


class Lab:
    """A machine that keeps its disk from boot to boot."""

    def __init__(self, folder):
        self.folder = folder
        self.disk = folder / "disk.img"
        write_raw(open_image(DISK), self.disk)
        self.log = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", folder), "console.log")

    def boot(self, medium, examine, **bus):
        """Boots with a medium, logs in, calls a function with the shell, and shuts the machine down."""
        settings = Settings(
            **emulator(),
            drives=[
                Drive(path=os.fspath(self.disk), keep=True),
                Drive(path=os.fspath(medium), read_only=True, **bus),
            ],
        )
        with Machine(settings, self.folder, self.log) as machine:
            shell = Shell(machine.console)
            shell.login("root", "root", BOOT_SECONDS)
            # Waits for the end of the boot; other tests check the state.
            shell.run("systemctl is-system-running --wait", BOOT_SECONDS)
            examine(shell)
            shell.start("systemctl poweroff")
            machine.wait_end(END_SECONDS)


def media(folder, public):
    """Returns a damaged medium, a valid one, and another valid one."""
    keys = folder / "keys"
    keys.mkdir()
    (keys / "admin").write_bytes(public)
    options = ["--ipv6_address=2001:db8::2/48", "--ipv6_gateway=2001:db8::1", "--name_servers=2001:db8::53"]
    options += ["--nns_url=https://nns.example", f"--accounts_ssh_authorized_keys={keys}"]
    options += [
        "--ipv4_address=192.0.2.2/24",
        "--backup_puging_interval=60",
        "--socks_proxy=socks5://proxy.example:1080",
    ]
    crypto = folder / "crypto"
    (crypto / "inner").mkdir(parents=True)
    (crypto / "inner" / "key").write_bytes(b"secret")
    for name, kind in (("nns_public_key", "PUBLIC KEY"), ("node_operator_private_key", "EC PRIVATE KEY")):
        (folder / name).write_text(PEM % (kind, kind))
        options.append(f"--{name}={folder / name}")
    options.append(f"--ic_crypto={crypto}")
    damaged, good, other = (folder / f"{name}.img" for name in ("damaged", "good", "other"))
    build_medium([*options, "--hostname=first", str(good)])
    build_medium(["--hostname=second", str(other)])
    content = good.read_bytes()
    assert content.count(b"network.conf") == 1
    damaged.write_bytes(content.replace(b"network.conf", b"networX.conf"))  # with a wrong checksum of the header
    return damaged, good, other


def journal(shell):
    return shell.check("journalctl --boot --unit=bootstrap-ic-node.service --output=cat --no-pager")


def check_the_keys(shell):
    """Checks that the keys are where the release's programs look for them, and whose they are."""
    data = "/var/lib/ic/data"
    names = shell.check(f"stat --format='%U %a %n' {data}/*.pem").splitlines()
    assert names == [
        f"ic-replica 644 {data}/nns_public_key.pem",
        f"ic-replica 400 {data}/node_operator_private_key.pem",
    ]
    crypto = "/var/lib/ic/crypto"
    owners = shell.check(f"stat --format='%U:%G %n' {crypto} {crypto}/inner {crypto}/inner/key").splitlines()
    assert owners == [
        f"ic-csp-vault:ic-csp-vault {path}" for path in (crypto, f"{crypto}/inner", f"{crypto}/inner/key")
    ]
    assert shell.check(f"find {crypto} -perm /007") == ""


def check_the_firewall(shell):
    """Checks that incoming packets are dropped by default, by one rule set alone."""
    tables = set(shell.check("nft list tables").splitlines())
    assert tables in ({"table inet guestos"}, {"table ip filter", "table ip6 filter"})
    chains = shell.check("nft list ruleset | grep 'hook input'").splitlines()
    assert chains
    assert all("policy drop" in chain for chain in chains)


def test_one_configuration_is_imported():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        private, public = ssh.key_pair()
        damaged, good, other = media(folder, public)
        lab = Lab(folder)
        hostnames = []

        def check_that_nothing_was_imported(shell):
            messages = journal(shell)
            assert "the bootstrap configuration is ignored: " in messages
            assert "ic-bootstrap.tar: the archive is damaged: the checksum of a header is wrong" in messages
            assert shell.run("test -e /boot/config/CONFIGURED || test -e /boot/config/network.conf").status != 0
            hostnames.append(shell.check("hostname"))
            assert hostnames[0] != "first"
            check_the_firewall(shell)

        def check_that_all_was_imported(shell):
            assert "imported ic-bootstrap.tar from /dev/guestos/bootstrap/sda" in journal(shell)
            assert "/usb" in shell.check("readlink --canonicalize /sys/class/block/sda"), "the medium was on USB"
            assert shell.check("hostname") == "first"
            assert "2001:db8::2/48" in shell.check("ip -6 -brief address show scope global")
            assert "default via 2001:db8::1 " in shell.check("ip -6 route show default")
            assert "2001:db8::53" in shell.check("resolvectl dns")
            assert shell.check("cat /boot/config/nns.conf") == "nns_url=https://nns.example"
            assert shell.check("cat /etc/hostname") == "first"
            assert "192.0.2.2/24" in shell.check("ip -4 -brief address show scope global")
            assert shell.check("cat /boot/config/backup.conf") == "backup_puging_interval_secs=60"
            assert shell.check("cat /boot/config/socks_proxy.conf") == "socks_proxy=socks5://proxy.example:1080"
            check_the_keys(shell)
            check_the_firewall(shell)
            assert ssh.log_in(shell, private, "admin@127.0.0.1", BOOT_SECONDS) == "admin"

        def check_that_nothing_else_was_imported(shell):
            assert "imported" not in journal(shell)
            assert shell.check("hostname") == "first"
            assert "hostname=second" not in shell.check("cat /boot/config/network.conf")
            assert ssh.log_in(shell, private, "admin@127.0.0.1", BOOT_SECONDS) == "admin"

        lab.boot(damaged, check_that_nothing_was_imported, removable=True)
        lab.boot(good, check_that_all_was_imported, usb=True)
        lab.boot(other, check_that_nothing_else_was_imported)
