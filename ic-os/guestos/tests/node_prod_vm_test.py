"""A node with an image of prod: registration and an upgrade by HTTP, as seen from outside, since nobody becomes root.

The firmware trusts the key of a release alone, which has signed boot loader and kernel images of both systems. The host
passes in a credential for systemd that would disable the orchestrator; prod does not take it.

The registry has an SSH key for an account that may read logs. The orchestrator's dashboard shows the replica; the
journal's gateway shows which units failed, and the accounts of the services. All answer only after the orchestrator's
firewall rules are loaded, since the first rules admit SSH alone, and SSH starts when there is a key.
"""

import http.client
import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from loader_files import changed_message, files_of, put_loader
from node_lab import configuration, disk, node, offer_update
from upgrade_checks import without_orchestrator

from guestos_tools.access_control_check import violations
from guestos_tools.bootstrap_media import medium
from guestos_tools.hardening import differences
from guestos_tools.payload_check import DASHBOARD_PORT, status_on_dashboard, until_healthy
from sample_node import Nns
from tools.image.rawfile import write_raw
from tools.inspect.volumes import open_partition, read_tree
from tools.testing.oracles import oracle
from tools.testing.own_keys import own_firmware
from tools.tree.node import File, walk
from tools.vm import ssh
from tools.vm.machine import Drive
from tools.vm.network import forwarded_port, greeting

IMAGES = Path("ic-os/guestos/tests")
VERSIONS = Path("ic-os/guestos/prod")
CERTIFICATE = Path("ic-os/guestos/scripts/testdata/secure-boot.pem")
KEY = Path("ic-os/guestos/scripts/testdata/secure-boot.key.pem")
BOOT_SECONDS = 900
JOURNAL_SECONDS = 120
PAUSE_SECONDS = 0.5
JOURNAL_PORT = 19531
SSH_PORT = 22

# systemd.journal-fields(7), sd-messages.h: a unit failed, a start failed, a unit was started.
FAILED = {"d9b373ed55a64feb8242e02dbe79a49c", "be02cf6855d2428ba40df7e9d022f03d"}
STARTED = "39f53479d3a045ac8e11786248231fbf"

# With another prefix than on the bootstrap medium; QEMU forwards ports to this address.
IPV4 = {"ip_addr": "10.0.2.15", "prefix_length": 25, "gateway_ip_addr": ["10.0.2.2"]}

ACCOUNTS = {
    "ic-replica.service": "ic-replica",
    "ic-crypto-csp.service": "ic-csp-vault",
    "node_exporter.service": "node_exporter",
}

# Of the kernel. systemd's stub appends the host's arguments behind `--`.
SECURE_BOOT = "secureboot: Secure boot enabled"
SIGNED_COMMAND_LINE = re.compile(r"(Kernel c|C)ommand line: .* dfinity\.root_hash=[0-9a-f]{64} --")

# Of the kernel; in complain mode the message goes on.
ENFORCING = "AppArmor: AppArmor initialized"
PROFILES = "load-apparmor-profiles.service"


@pytest.fixture
def nns():
    with Nns() as result:
        keys = [ssh.key_pair()[1].decode().strip()]
        result.registry = {
            "registry_version": 1,
            "subnet": "test",
            "ssh_keys": {"readonly": keys},
            "public_ipv4_config": IPV4,
        }
        yield result


def disk_with_another_loader(folder):
    """Returns the disk with a boot loader of the same key that is not the one of the update."""
    drive = disk(IMAGES / "prod_disk.tar", folder)
    files = files_of(open_partition(IMAGES / "prod_disk.tar", "esp"))
    put_loader(Path(drive.path), changed_message(files, (KEY, CERTIFICATE)))
    return drive


@pytest.fixture
def machine(tmp_path, artifacts, nns):
    forwards = [(0, DASHBOARD_PORT), (0, JOURNAL_PORT), (0, SSH_PORT)]
    bootstrap = tmp_path / "medium.img"
    write_raw(medium(configuration(nns)), bootstrap)
    drives = [disk_with_another_loader(tmp_path), Drive(path=str(bootstrap), read_only=True, removable=True)]
    firmware = own_firmware(tmp_path, CERTIFICATE)
    # Prod takes no credentials of the host: the orchestrator runs all the same.
    host = {"arguments": without_orchestrator(), "firmware": firmware}
    with node(tmp_path, artifacts / "console.log", drives, forwards, **host) as result:
        yield result


def journal(port):
    """Returns the journal's entries of this boot."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=JOURNAL_SECONDS)
    try:
        connection.request("GET", "/entries?boot", headers={"Accept": "application/json"})
        return [json.loads(line) for line in connection.getresponse().read().splitlines()]
    finally:
        connection.close()


def failed_units(entries):
    """Returns the units that failed and were not started after that."""
    failed = {}
    for entry in entries:
        unit = entry.get("UNIT")
        if entry.get("MESSAGE_ID") in FAILED:
            failed[unit] = entry.get("MESSAGE")
        elif entry.get("MESSAGE_ID") == STARTED:
            failed.pop(unit, None)
    return failed


def accounts(entries, passwd):
    """Returns the accounts that processes of the services in ACCOUNTS logged as; root prepares some of them."""
    names = {fields[2]: fields[0] for fields in (line.split(":") for line in passwd.splitlines())}
    found = {unit: set() for unit in ACCOUNTS}
    for entry in entries:
        if entry.get("_SYSTEMD_UNIT") in found:
            found[entry["_SYSTEMD_UNIT"]].add(names[entry["_UID"]])
    return {unit: users - {"root"} for unit, users in found.items()}


def hardening_report(entries):
    """Returns the lines that report-hardening.sh wrote."""
    return [str(each["MESSAGE"]) for each in entries if each.get("SYSLOG_IDENTIFIER") == "report-hardening.sh"]


def is_enforced(entries):
    """Returns whether AppArmor enforces profiles, and they were loaded; without its profile no service starts."""
    loaded = any(each.get("MESSAGE_ID") == STARTED and each.get("UNIT") == PROFILES for each in entries)
    return loaded and any(each.get("_TRANSPORT") == "kernel" and each.get("MESSAGE") == ENFORCING for each in entries)


def is_verified(entries):
    """Returns whether the firmware started what is signed alone, with the command line of a signed image."""
    texts = [str(each.get("MESSAGE")) for each in entries if each.get("_TRANSPORT") == "kernel"]
    return SECURE_BOOT in texts and any(SIGNED_COMMAND_LINE.fullmatch(text) for text in texts)


def passwd_of(disk: Path) -> str:
    files = walk(read_tree(open_partition(disk, "A_root"), "A_root"))
    node = next(node for path, node in files if path == b"etc/passwd")
    assert isinstance(node, File)
    return node.content.read(0, node.content.size).decode()


def check_session(port, key):
    """Checks a session by SSH: account, data, exit status, and that it has the right to no more."""
    options = ["-F", "none", "-q", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", key]
    options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", str(port)]
    command = "cat; id -un; sudo --non-interactive true || exit 7"
    done = subprocess.run(
        [oracle("ssh"), *options, "readonly@127.0.0.1", command],
        input=b"\0\xff\n",
        capture_output=True,
        timeout=BOOT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, b"\0\xff\nreadonly\n"), done.stderr


def check_node(machine, version, passwd, key):
    """Checks a booted system: replica is healthy, no unit has failed, services have their accounts, sessions work."""
    port = forwarded_port(machine, DASHBOARD_PORT)
    deadline = time.monotonic() + BOOT_SECONDS
    while (status := until_healthy(lambda: status_on_dashboard(port), BOOT_SECONDS)).get("version") != version:
        assert time.monotonic() < deadline, f"no version {version}: {status}"
        time.sleep(PAUSE_SECONDS)
    assert (status["status"], status["problems"]) == ("healthy", [])
    ssh_port = forwarded_port(machine, SSH_PORT)
    assert greeting(ssh_port, JOURNAL_SECONDS).startswith(b"SSH-2.0-"), "the registry has keys"
    check_session(ssh_port, key)
    entries = journal(forwarded_port(machine, JOURNAL_PORT))
    assert failed_units(entries) == {}
    # By sudo, which runs guestos_tool: the orchestrator says this after exit status 0.
    assert "orchestrator: the IPv4 address is 10.0.2.15/25" in {entry.get("MESSAGE") for entry in entries}
    assert differences(hardening_report(entries), "prod") == []
    assert accounts(entries, passwd) == {unit: {account} for unit, account in ACCOUNTS.items()}
    assert violations(str(entry.get("MESSAGE")) for entry in entries) == [], "AppArmor denied nothing"
    assert is_enforced(entries)
    assert is_verified(entries)


@pytest.fixture
def key(tmp_path):
    """The file of the private key that the registry's SSH key belongs to."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(ssh.key_pair()[0])
    return path


def wait_for_loader(machine, version):
    """Waits until the confirmed system has installed its boot loader."""
    installed = f"the boot loader of version {version} is installed; the one before is in EFI.OLD"
    deadline = time.monotonic() + BOOT_SECONDS
    while installed not in {each.get("MESSAGE") for each in journal(forwarded_port(machine, JOURNAL_PORT))}:
        assert time.monotonic() < deadline, "the boot loader is not installed"
        time.sleep(PAUSE_SECONDS)


def test_registers_and_upgrades(machine, nns, key):
    version = (VERSIONS / "version.txt").read_text().strip()
    test_version = (VERSIONS / "version-test.txt").read_text().strip()
    passwd = passwd_of(IMAGES / "prod_disk.tar")
    check_node(machine, version, passwd, key)
    path = offer_update(nns, IMAGES / "prod_update.tar.zst", test_version)
    check_node(machine, test_version, passwd, key)
    assert [each for _, each, _ in nns.requests if each == path] == [path]
    assert sum(method == "POST" for method, _, _ in nns.requests) == 1, "the node is registered once"
    wait_for_loader(machine, test_version)
    # Without a confirmation the boot loader goes back to the old system.
    begin = len(machine.console.text)
    machine.qmp.execute("system_reset")
    machine.console.expect(r"^Starting slot B \(stable\)", BOOT_SECONDS, "the new boot loader")
    machine.console.expect(r"Reached target .*multi-user\.target", BOOT_SECONDS, "the end of the boot")
    # The boot loader of the disk image, by the first letters of its message, and that of the update.
    started = re.compile(r"^Starting (slot|SLOT) ([AB]) \((\w+)\)\.$", re.MULTILINE)
    text = machine.console.text
    assert started.findall(text[:begin]) == [("SLOT", "A", "stable"), ("SLOT", "B", "first_boot")]
    assert started.findall(text[begin:]) == [("slot", "B", "stable")]
    lines = text[begin:].splitlines()
    assert any(line.endswith(SECURE_BOOT) for line in lines)
    assert any(re.search(f"{SIGNED_COMMAND_LINE.pattern}$", line) for line in lines)
    assert any(line.endswith(ENFORCING) for line in lines)
    assert violations(lines) == []
    assert [line for line in lines if "FAILED" in line or "DEPEND" in line] == []
