"""A node in a virtual machine: its bootstrap medium, registration, an upgrade by HTTP, and the way back by commands.

The machine's first disk has an update image and its second one the system, so that a program that uses the first disk
instead of the booted one fails. On the way back the new system hangs before it is confirmed.
"""

import json
import re
from pathlib import Path

import media_checks
import pytest
import upgrade_checks
from node_lab import ADDRESS, HOSTNAME, disk, node, offer_update

from guestos_tools.access_control_check import check_sandbox, check_violations
from guestos_tools.observation_check import check_metrics_and_journal
from guestos_tools.payload_check import check_payload
from sample_node import Nns
from tools.vm.checks import Checks
from tools.vm.machine import Drive
from tools.vm.shell import Shell

IMAGES = Path("ic-os/guestos/dev")
BACK = IMAGES / "update-img.tar.zst"
VERSION = (IMAGES / "version.txt").read_text().strip()
TEST_VERSION = (IMAGES / "version-test.txt").read_text().strip()
BOOT_SECONDS = 900
REPLICA_SECONDS = 180
PACKAGE = "/var/lib/ic/data/cups/cup.types.v1.CatchUpPackage.pb"
UNITS = "--unit=ic-replica.service --unit=ic-crypto-csp.service --unit=reload_nftables.service"
# Another one than that of the bootstrap medium, behind the same gateway of QEMU.
IPV4 = {"ip_addr": "10.0.2.77", "prefix_length": 24, "gateway_ip_addr": ["10.0.2.2"]}
KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtq one", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtr two"]


@pytest.fixture
def nns():
    with Nns() as result:
        result.registry = {
            "registry_version": 1,
            "subnet": "test",
            "ssh_keys": {"readonly": KEYS},
            "public_ipv4_config": IPV4,
        }
        yield result


def log_in(machine, version, checks):
    """Logs in after a boot, and checks the system."""
    shell = Shell(machine.console)
    shell.login("root", "root", BOOT_SECONDS)
    shell.run("systemctl is-system-running --wait", BOOT_SECONDS)
    checks.equal("no unit failed", shell.check("systemctl list-units --failed --plain --no-legend --no-pager"), "")
    checks.equal("the version of the boot partition", shell.check("cat /boot/version.txt"), version)
    return shell


def check_node(shell, slot, version, checks):
    """Checks a system that the orchestrator confirmed, with a healthy replica."""
    check_payload(shell, version, REPLICA_SECONDS, checks)
    status = upgrade_checks.status(shell)
    found = status["current"], status["version"], status["stable"], status["confirmed"]
    checks.equal("the boot state", found, (slot, version, True, slot))
    keys = shell.check("cat /boot/config/accounts_ssh_authorized_keys/readonly")
    checks.equal("the SSH keys of the registry", keys.splitlines(), KEYS)
    check_metrics_and_journal(shell, version, checks)
    check_sandbox(shell, checks)
    check_violations(shell, checks)
    checks.equal("the host name", shell.check("cat /proc/sys/kernel/hostname"), HOSTNAME)
    source = shell.check("findmnt --noheadings --output SOURCE /boot")
    checks.true("the boot partition is on the second disk", source.startswith("/dev/vdb"), source)


def passed(shell, checks):
    """Ends a group of checks; shows logs if one failed."""
    if checks.failed:
        print(shell.run(f"journalctl --boot --no-pager --lines=200 {UNITS} --unit='privileged-scripts@*'").output)
    assert checks.failed == []


def check_leaves_subnet(shell, nns, checks):
    """Checks that the orchestrator can remove the state, and call the scripts that free space and read keys."""
    shown = shell.check("curl --silent http://[::1]:7070/ssh-keys").splitlines()
    checks.equal("SSH keys on the dashboard", shown, [f"readonly: {len(KEYS)}", "backup: 0", "admin: 0"])
    nns.registry = {"registry_version": 3, "ssh_keys": {"readonly": KEYS}, "public_ipv4_config": IPV4}
    removed = shell.run(f"timeout {REPLICA_SECONDS} sh -c 'while test -e {PACKAGE}; do sleep 1; done'", REPLICA_SECONDS)
    checks.equal("the node has left its subnet", removed.status, 0)
    checks.equal("what is left of the state", shell.check("ls -A /var/lib/ic/data/ic_state").split(), ["page_deltas"])
    checks.equal("processes of the replica", shell.run("pgrep --full '^/opt/ic/bin/(canister_|sandbox_)'").output, "")
    check_violations(shell, checks)


def ipv4_addresses(shell):
    """Returns the IPv4 addresses of the network, with the lengths of their prefixes."""
    found = json.loads(shell.check("ip -json -4 address show scope global"))
    return [f"{each['local']}/{each['prefixlen']}" for link in found for each in link["addr_info"]]


def log_line(shell, pattern):
    """Waits until the orchestrator logs a line; returns the exit status."""
    read = f'journalctl --boot --unit=ic-replica.service --no-pager --output=cat --grep="{pattern}" >/dev/null'
    # The shell waits longer than the machine, so that the logs can be shown.
    return shell.run(f"timeout {REPLICA_SECONDS} sh -c 'until {read}; do sleep 1; done'", 2 * REPLICA_SECONDS).status


def check_ipv4(shell, checks):
    """Checks that the orchestrator, by sudo and guestos_tool, has given the machine the registry's IPv4 address."""
    checks.equal("waiting for the address", log_line(shell, "IPv4 address is 10.0.2.77/24"), 0)
    checks.equal("the IPv4 addresses", ipv4_addresses(shell), ["10.0.2.77/24"])
    route = json.loads(shell.check("ip -json -4 route show default"))
    checks.equal("the gateway", [each["gateway"] for each in route], IPV4["gateway_ip_addr"])


def check_ipv4_changes(shell, nns, checks):
    """Checks that the orchestrator learns the exit status of guestos_tool, and can remove the address."""
    nns.registry |= {"registry_version": 4, "public_ipv4_config": IPV4 | {"prefix_length": 33}}
    # In the journal what sudo writes comes first, and each line is an entry of its own.
    refused = "guestos_tool: error: the address is invalid: .33. is not a valid netmask"
    checks.equal("waiting for the refusal of an address", log_line(shell, refused), 0)
    failed = "IPv4: sudo /opt/ic/bin/guestos_tool .*--ipv4-prefix-length=33 .*: exit status 2: "
    checks.equal("waiting for its exit status", log_line(shell, failed), 0)
    checks.equal("the addresses after that", ipv4_addresses(shell), ["10.0.2.77/24"])
    nns.registry |= {"registry_version": 5, "public_ipv4_config": None}
    checks.equal("waiting for the removal of the address", log_line(shell, "IPv4 address is none"), 0)
    checks.equal("the addresses after that", ipv4_addresses(shell), [])
    check_violations(shell, checks)


def registers_and_upgrades(machine, nns):
    """The orchestrator registers the node and upgrades it; then the old version is installed again by a command.

    Returns:
        What the upgrades must keep, as `upgrade_checks.identity` has it.
    """
    checks = Checks()
    shell = log_in(machine, VERSION, checks)
    check_node(shell, "A", VERSION, checks)
    check_ipv4(shell, checks)
    media_checks.check_import(shell, checks)
    upgrade_checks.check_refused(shell, "upgrade-commit", "nothing was installed there", checks)
    kept = upgrade_checks.mark(shell)
    request = next(body for method, _, body in nns.requests if method == "POST")
    checks.equal("the key that signs", request["signer"], "node_operator_private_key.pem")
    checks.equal("the node's endpoint", request["endpoints"]["api"], {"ip": ADDRESS, "port": 8080})
    node_id = f"node ID: {request['node_id']}\n"
    dashboard = shell.check("curl --silent http://[::1]:7070/")
    checks.true("the dashboard shows the node's ID", node_id in dashboard, dashboard)
    passed(shell, checks)

    path = offer_update(nns, IMAGES / "update-img-test.tar.zst", TEST_VERSION)
    shell = log_in(machine, TEST_VERSION, checks)
    check_node(shell, "B", TEST_VERSION, checks)
    check_ipv4(shell, checks)
    checks.equal("requests of the image", [each for _, each, _ in nns.requests if each == path], [path])
    checks.equal("registrations", sum(method == "POST" for method, _, _ in nns.requests), 1)
    dashboard = shell.check("curl --silent http://[::1]:7070/")
    checks.true("the dashboard shows the same ID", node_id in dashboard, dashboard)
    reboot = int(shell.check("cat /var/lib/ic/data/orchestrator/reboot_time.txt"))
    checks.true("the orchestrator knows the time of the reboot", reboot > 0, str(reboot))
    checks.equal("test of the fetched image", shell.run("test -e /var/lib/ic/data/images/image.bin").status, 1)
    checks.equal("test of a file in the other slot's /var", shell.run("test -e /var/kept").status, 1)
    checks.equal("what upgrades keep", upgrade_checks.identity(shell), kept)
    check_leaves_subnet(shell, nns, checks)
    check_ipv4_changes(shell, nns, checks)
    passed(shell, checks)

    shell.check("echo kept >/var/kept; sync")
    upgrade_checks.install_back(shell, BACK.stat().st_size)
    slot = upgrade_checks.status(shell)["slots"]["A"]
    checks.equal("the slot that was written", slot, {"state": "ready", "version": VERSION, "problem": None})
    passed(shell, checks)
    upgrade_checks.commit_and_end(machine, shell)
    return kept


def falls_back(machine, kept):
    """The old version hangs before it is confirmed, and the watchdog resets the machine: the version before boots."""
    checks = Checks()
    shell = log_in(machine, VERSION, checks)
    status = upgrade_checks.status(shell)
    found = status["current"], status["boot_state"], status["stable"], status["slots"]["A"]["state"]
    checks.equal("the boot state", found, ("A", "first_boot", False, "on trial"))
    checks.equal("test of a file in the other slot's /var", shell.run("test -e /var/kept").status, 1)
    checks.equal("what upgrades keep", upgrade_checks.identity(shell), kept)
    upgrade_checks.check_refused(shell, "upgrade-install -", "an upgrade needs a confirmed system", checks)
    passed(shell, checks)
    upgrade_checks.hang(machine, shell, checks)

    shell = log_in(machine, TEST_VERSION, checks)
    status = upgrade_checks.status(shell)
    found = status["current"], status["boot_state"], status["slots"]["A"]["state"]
    checks.equal("the boot state", found, ("B", "fallback", "not confirmed"))
    notes = " ".join(status["notes"])
    fell_back = re.search("fell back to slot B: slot A with version .* was not confirmed", notes)
    checks.true("the note on the fallback", fell_back is not None, notes)
    checks.equal("test of a file in the slot's /var", shell.run("test -e /var/kept").status, 0)
    checks.equal("what upgrades keep", upgrade_checks.identity(shell), kept)
    media_checks.check_later_media(shell, checks)
    media_checks.check_firewall(shell, checks)
    passed(shell, checks)


def test_registers_upgrades_and_falls_back(tmp_path, artifacts, nns):
    update = Drive(path=str(BACK), read_only=True, serial=upgrade_checks.BACK)
    system = disk(IMAGES / "disk-img.tar", tmp_path)
    log = artifacts / "console.log"
    with node(tmp_path, log, [update, system, media_checks.configuring(tmp_path, nns)]) as machine:
        kept = registers_and_upgrades(machine, nns)
    drives = [update, system, *media_checks.later(tmp_path)]
    with node(tmp_path, log, drives, arguments=upgrade_checks.without_orchestrator()) as machine:
        falls_back(machine, kept)
