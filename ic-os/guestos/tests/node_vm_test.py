"""A node in a virtual machine: its bootstrap medium, registration, an upgrade by HTTP, and the system after that.

The medium is as the tools of the reference write it. An HTTP server of the test takes the place of the NNS and of the
server of the update images; nothing but the registry's document tells the machine to upgrade.
"""

import hashlib
import json
import os
from pathlib import Path

import pytest

from guestos_tools.bootstrap_media import medium
from guestos_tools.payload_check import check_payload
from sample_node import Nns
from tools.core.errors import UserError
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.oracles import oracle, unavailable
from tools.tree.node import Directory, File
from tools.vm.checks import Checks
from tools.vm.firmware import find_firmware
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.qemu import accelerator, find_qemu
from tools.vm.shell import Shell

ROOT = Path(__file__).parents[3]
IMAGES = "ic-os/guestos/dev"
BOOT_SECONDS = 900
REPLICA_SECONDS = 180
UNITS = "--unit=ic-replica.service --unit=ic-crypto-csp.service --unit=reload_nftables.service"
HOST = "10.0.2.2"
ADDRESS = "fec0::15"
UPDATE = "/guest-os/update-img/update-img.tar.zst"
KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtq one", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtr two"]

NETWORK = f"""\
ipv6_address={ADDRESS}/64
ipv6_gateway=fec0::2
name_servers=
ipv6_prefixes=
hostname=guest-525400123456
ipv4_address=10.0.2.15/24
ipv4_gateway={HOST}

"""


def artifact(name):
    return Path(os.environ.get("TEST_SRCDIR", ROOT), os.environ.get("TEST_WORKSPACE", ""), IMAGES, name)


def members(nns):
    """Returns the members of ic-bootstrap.tar."""
    port = nns.url.rpartition(":")[2]
    texts = {
        "network.conf": NETWORK,
        "nns.conf": f"nns_url=http://{HOST}:{port}\n",
        "nns_public_key.pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "node_operator_private_key.pem": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
    }
    return Directory(
        entries={name.encode(): File(content=Image.from_bytes(text.encode())) for name, text in texts.items()}
    )


@pytest.fixture
def nns():
    with Nns() as result:
        result.registry = {"registry_version": 1, "subnet": "test", "ssh_keys": {"readonly": KEYS}}
        yield result


@pytest.fixture
def machine(tmp_path, artifacts, nns):
    oracle("qemu-system-x86_64")
    try:
        qemu, firmware = find_qemu(), find_firmware()
    except UserError as error:
        unavailable(str(error))
    disk, bootstrap = tmp_path / "disk.img", tmp_path / "medium.img"
    write_raw(open_image(artifact("disk-img.tar")), disk)
    write_raw(medium(members(nns)), bootstrap)
    settings = Settings(
        qemu=qemu,
        firmware=firmware,
        accel=accelerator(qemu, firmware),
        drives=[
            Drive(path=str(disk), keep=True),
            Drive(path=str(bootstrap), read_only=True, removable=True),
        ],
        cpus=2,
        watchdog=True,
    )
    with Machine(settings, tmp_path, artifacts / "console.log") as result:
        yield result


def log_in(machine):
    shell = Shell(machine.console)
    shell.login("root", "root", BOOT_SECONDS)
    shell.run("systemctl is-system-running --wait", BOOT_SECONDS)
    return shell


def check_node(shell, slot, version):
    """Checks a system that the orchestrator confirmed, with a healthy replica."""
    checks = Checks()
    check_payload(shell, version, REPLICA_SECONDS, checks)
    checks.equal("no unit failed", shell.check("systemctl list-units --failed --plain --no-legend --no-pager"), "")
    status = json.loads(shell.check("/opt/ic/bin/manageboot.sh status --json"))
    found = status["current"], status["version"], status["stable"], status["confirmed"]
    checks.equal("the boot state", found, (slot, version, True, slot))
    keys = shell.check("cat /boot/config/accounts_ssh_authorized_keys/readonly")
    checks.equal("the SSH keys of the registry", keys.splitlines(), KEYS)
    checks.equal("the host name", shell.check("cat /proc/sys/kernel/hostname"), "guest-525400123456")
    if checks.failed:
        print(shell.run(f"journalctl --boot --no-pager --lines=200 {UNITS}").output)
    assert checks.failed == []


def test_registers_and_upgrades(machine, nns):
    version = artifact("version.txt").read_text().strip()
    test_version = artifact("version-test.txt").read_text().strip()
    shell = log_in(machine)
    check_node(shell, "A", version)
    request = next(body for method, _, body in nns.requests if method == "POST")
    assert request["signer"] == "node_operator_private_key.pem"
    assert request["endpoints"]["api"] == {"ip": ADDRESS, "port": 8080}
    dashboard = shell.check("curl --silent http://[::1]:7070/")
    assert f"node ID: {request['node_id']}\n" in dashboard

    image = artifact("update-img-test.tar.zst")
    nns.files[UPDATE] = image
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    port = nns.url.rpartition(":")[2]
    nns.registry |= {
        "registry_version": 2,
        "replica_version": {
            "version": test_version,
            "release_package_url": f"http://{HOST}:{port}{UPDATE}",
            "release_package_sha256_hex": digest,
        },
    }
    shell = log_in(machine)
    check_node(shell, "B", test_version)
    assert [path for method, path, _ in nns.requests if path == UPDATE] == [UPDATE]
    assert sum(method == "POST" for method, _, _ in nns.requests) == 1, "the node is registered once"
    assert f"node ID: {request['node_id']}\n" in shell.check("curl --silent http://[::1]:7070/")
    assert int(shell.check("cat /var/lib/ic/data/orchestrator/reboot_time.txt")) > 0
    assert shell.run("test -e /var/lib/ic/data/images/image.bin").status == 1
