"""Bootstrap media of a node in a virtual machine, and checks of what the machine takes from them.

The machine takes its configuration from a medium on USB. Later media are ignored, and so is a damaged one.
"""

from __future__ import annotations

from pathlib import Path

from node_lab import ADDRESS, HOST, HOSTNAME, address

from guestos_tools.bootstrap_media import main as build_medium
from sample_node import Nns
from tools.vm.checks import Checks
from tools.vm.machine import Drive
from tools.vm.shell import Shell

_OTHER = "other"
_PEM = "-----BEGIN %s-----\nMIGCMB0GDSsGAQQB\n-----END %s-----\n"
_PEM_FILES = {"nns_public_key": "PUBLIC KEY", "node_operator_private_key": "EC PRIVATE KEY"}
_DATA = "/var/lib/ic/data"
_CRYPTO = "/var/lib/ic/crypto"
_CONFIG = "/boot/config"
_UNIT = "bootstrap-ic-node.service"
_PROGRAM = "/opt/ic/bin/bootstrap-ic-node.py"


def configuring(folder: Path, nns: Nns) -> Drive:
    """Writes the medium of a node that registers with an NNS, with a key for the crypto service."""
    options = [f"--ipv6_address={ADDRESS}/64", "--ipv6_gateway=fec0::2", f"--hostname={HOSTNAME}"]
    options += ["--ipv4_address=10.0.2.15/24", f"--ipv4_gateway={HOST}", "--name_servers=fec0::3"]
    options += [f"--nns_url={address(nns)}", "--backup_puging_interval=60"]
    options += ["--socks_proxy=socks5://proxy.example:1080"]
    for name, kind in _PEM_FILES.items():
        (folder / name).write_text(_PEM % (kind, kind))
        options.append(f"--{name}={folder / name}")
    inner = folder / "crypto" / "inner"
    inner.mkdir(parents=True)
    (inner / "key").write_bytes(b"secret")
    options.append(f"--ic_crypto={inner.parent}")
    path = folder / "configuring.img"
    build_medium([*options, str(path)])
    return Drive(path=str(path), read_only=True, usb=True)


def later(folder: Path) -> list[Drive]:
    """Writes media that a configured machine gets: a valid one, and one whose archive is damaged."""
    other, damaged = folder / f"{_OTHER}.img", folder / "damaged.img"
    build_medium(["--hostname=second", str(other)])
    content = other.read_bytes()
    assert content.count(b"network.conf") == 1
    damaged.write_bytes(content.replace(b"network.conf", b"networX.conf"))  # with a wrong checksum of the header
    return [
        Drive(path=str(other), read_only=True, removable=True, serial=_OTHER),
        Drive(path=str(damaged), read_only=True, usb=True),
    ]


def check_import(shell: Shell, checks: Checks) -> None:
    """Checks that everything on the configuring medium is where programs look for it, with its owners."""
    journal = _journal(shell)
    checks.true("the medium was imported", "imported ic-bootstrap.tar from " in journal, journal)
    device = shell.check("readlink --canonicalize /sys/class/block/sda")
    checks.true("the medium was on USB", "/usb" in device, device)
    for what, command, part in (
        ("IPv6 address", "ip -6 -brief address show scope site", f"{ADDRESS}/64"),
        ("router", "ip -6 route show default", "default via fec0::2 "),
        ("name server", "resolvectl dns", "fec0::3"),
    ):
        found = shell.check(command)
        checks.true(f"the {what} of the medium", part in found, found)
    for file, text in (
        ("/etc/hostname", HOSTNAME),
        (f"{_CONFIG}/backup.conf", "backup_puging_interval_secs=60"),
        (f"{_CONFIG}/socks_proxy.conf", "socks_proxy=socks5://proxy.example:1080"),
    ):
        checks.equal(file, shell.check(f"cat {file}"), text)
    names = shell.check(f"stat --format='%U %a %n' {_DATA}/*.pem").splitlines()
    expected = [
        f"ic-replica 644 {_DATA}/nns_public_key.pem",
        f"ic-replica 400 {_DATA}/node_operator_private_key.pem",
    ]
    checks.equal("keys of the node", names, expected)
    paths = [f"{_CRYPTO}/inner", f"{_CRYPTO}/inner/key"]
    owners = shell.check(f"stat --format='%U:%G %n' {' '.join(paths)}").splitlines()
    checks.equal("keys of the crypto service", owners, [f"ic-csp-vault:ic-csp-vault {path}" for path in paths])
    checks.equal("what others may read of them", shell.check(f"find {_CRYPTO} -perm /007"), "")


def check_firewall(shell: Shell, checks: Checks) -> None:
    """Checks that one rule set alone drops incoming packets by default, where no orchestrator runs."""
    tables = set(shell.check("nft list tables").splitlines())
    sets = ({"table inet guestos"}, {"table ip filter", "table ip6 filter"})
    checks.true("one rule set is loaded", tables in sets, str(tables))
    chains = shell.check("nft list ruleset | grep 'hook input'").splitlines()
    checks.true("packets are dropped", bool(chains) and all("policy drop" in chain for chain in chains), str(chains))


def check_later_media(shell: Shell, checks: Checks) -> None:
    """Checks that a configured machine ignores media, and that one that is not ignores a damaged medium."""
    journal = _journal(shell)
    checks.true("no later medium was imported", "imported" not in journal, journal)
    before = shell.check(f"sha256sum {_CONFIG}/network.conf")
    # Only the damaged medium stays, and the machine counts as one that was not configured.
    shell.check(f"echo 1 >/sys/block/$(basename $(readlink -f /dev/disk/by-id/scsi-*{_OTHER}))/device/delete")
    result = shell.run(f"udevadm settle; rm {_CONFIG}/CONFIGURED; {_PROGRAM}")
    checks.equal("exit status for a damaged medium", result.status, 0)
    for part in (
        "the bootstrap configuration is ignored: ",
        "ic-bootstrap.tar: the archive is damaged: the checksum of a header is wrong",
    ):
        checks.true(f"the message {part!r}", part in result.output, result.output)
    checks.equal("test of CONFIGURED, since dev may try again", shell.run(f"test -e {_CONFIG}/CONFIGURED").status, 1)
    checks.equal("the configuration", shell.check(f"sha256sum {_CONFIG}/network.conf"), before)


def _journal(shell: Shell) -> str:
    return shell.check(f"journalctl --boot --unit={_UNIT} --output=cat --no-pager")
