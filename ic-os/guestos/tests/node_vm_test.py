"""A node in a virtual machine: its bootstrap medium, registration, an upgrade by HTTP, and the system after that."""

import json
from pathlib import Path

import pytest
from node_lab import ADDRESS, HOSTNAME, node, offer_update

from guestos_tools.access_control_check import check_sandbox, check_violations
from guestos_tools.observation_check import check_metrics_and_journal
from guestos_tools.payload_check import check_payload
from sample_node import Nns
from tools.vm.checks import Checks
from tools.vm.shell import Shell

IMAGES = Path("ic-os/guestos/dev")
BOOT_SECONDS = 900
REPLICA_SECONDS = 180
PACKAGE = "/var/lib/ic/data/cups/cup.types.v1.CatchUpPackage.pb"
UNITS = "--unit=ic-replica.service --unit=ic-crypto-csp.service --unit=reload_nftables.service"
KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtq one", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtr two"]


@pytest.fixture
def nns():
    with Nns() as result:
        result.registry = {"registry_version": 1, "subnet": "test", "ssh_keys": {"readonly": KEYS}}
        yield result


@pytest.fixture
def machine(tmp_path, artifacts, nns):
    with node(IMAGES / "disk-img.tar", tmp_path, artifacts / "console.log", nns) as result:
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
    check_metrics_and_journal(shell, version, checks)
    check_sandbox(shell, checks)
    check_violations(shell, checks)
    checks.equal("the host name", shell.check("cat /proc/sys/kernel/hostname"), HOSTNAME)
    if checks.failed:
        print(shell.run(f"journalctl --boot --no-pager --lines=200 {UNITS}").output)
    assert checks.failed == []


def check_leaves_subnet(shell, nns):
    """Checks that the orchestrator can remove the state, and call the scripts that free space and read keys."""
    checks = Checks()
    shown = shell.check("curl --silent http://[::1]:7070/ssh-keys").splitlines()
    checks.equal("SSH keys on the dashboard", shown, [f"readonly: {len(KEYS)}", "backup: 0", "admin: 0"])
    nns.registry = {"registry_version": 3, "ssh_keys": {"readonly": KEYS}}
    removed = shell.run(f"timeout {REPLICA_SECONDS} sh -c 'while test -e {PACKAGE}; do sleep 1; done'", REPLICA_SECONDS)
    checks.equal("the node has left its subnet", removed.status, 0)
    checks.equal("what is left of the state", shell.check("ls -A /var/lib/ic/data/ic_state").split(), ["page_deltas"])
    checks.equal("processes of the replica", shell.run("pgrep --full '^/opt/ic/bin/(canister_|sandbox_)'").output, "")
    check_violations(shell, checks)
    if checks.failed:
        print(shell.run(f"journalctl --boot --no-pager --lines=100 {UNITS} --unit='privileged-scripts@*'").output)
    assert checks.failed == []


def test_registers_and_upgrades(machine, nns):
    version = (IMAGES / "version.txt").read_text().strip()
    test_version = (IMAGES / "version-test.txt").read_text().strip()
    shell = log_in(machine)
    check_node(shell, "A", version)
    request = next(body for method, _, body in nns.requests if method == "POST")
    assert request["signer"] == "node_operator_private_key.pem"
    assert request["endpoints"]["api"] == {"ip": ADDRESS, "port": 8080}
    dashboard = shell.check("curl --silent http://[::1]:7070/")
    assert f"node ID: {request['node_id']}\n" in dashboard

    path = offer_update(nns, IMAGES / "update-img-test.tar.zst", test_version)
    shell = log_in(machine)
    check_node(shell, "B", test_version)
    assert [each for _, each, _ in nns.requests if each == path] == [path]
    assert sum(method == "POST" for method, _, _ in nns.requests) == 1, "the node is registered once"
    assert f"node ID: {request['node_id']}\n" in shell.check("curl --silent http://[::1]:7070/")
    assert int(shell.check("cat /var/lib/ic/data/orchestrator/reboot_time.txt")) > 0
    assert shell.run("test -e /var/lib/ic/data/images/image.bin").status == 1
    check_leaves_subnet(shell, nns)
