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


def ipv4_addresses(shell):
    """Returns the IPv4 addresses of the network, with the lengths of their prefixes."""
    found = json.loads(shell.check("ip -json -4 address show scope global"))
    return [f"{each['local']}/{each['prefixlen']}" for link in found for each in link["addr_info"]]


def wait_for(shell, condition):
    """Waits until a command succeeds; returns whether it did."""
    waiting = f"timeout {REPLICA_SECONDS} sh -c 'until {condition}; do sleep 1; done'"
    return shell.run(waiting, REPLICA_SECONDS).status == 0


def check_ipv4(shell):
    """Checks that the orchestrator, by sudo and guestos_tool, has given the machine the registry's IPv4 address."""
    checks = Checks()
    said = "journalctl --boot --unit=ic-replica.service --no-pager --output=cat --grep"
    checks.equal("the address is set", wait_for(shell, f'{said}="IPv4 address is 10.0.2.77/24" >/dev/null'), True)
    checks.equal("the IPv4 addresses", ipv4_addresses(shell), ["10.0.2.77/24"])
    route = json.loads(shell.check("ip -json -4 route show default"))
    checks.equal("the gateway", [each["gateway"] for each in route], IPV4["gateway_ip_addr"])
    check_violations(shell, checks)
    assert checks.failed == []


def check_ipv4_changes(shell, nns):
    """Checks that the orchestrator learns the exit status of guestos_tool, and can remove the address."""
    checks = Checks()
    error = "exit status 2: guestos_tool: error: the address is invalid: .33. is not a valid netmask"
    said = "journalctl --boot --unit=ic-replica.service --no-pager --output=cat --grep"
    nns.registry |= {"registry_version": 4, "public_ipv4_config": IPV4 | {"prefix_length": 33}}
    checks.equal("a refused address is logged", wait_for(shell, f'{said}="{error}" >/dev/null'), True)
    checks.equal("the addresses after that", ipv4_addresses(shell), ["10.0.2.77/24"])
    nns.registry |= {"registry_version": 5, "public_ipv4_config": None}
    checks.equal("the address is removed", wait_for(shell, f'{said}="IPv4 address is none" >/dev/null'), True)
    checks.equal("the addresses after that", ipv4_addresses(shell), [])
    check_violations(shell, checks)
    if checks.failed:
        print(shell.run(f"journalctl --boot --no-pager --lines=100 {UNITS} --unit='privileged-scripts@*'").output)
    assert checks.failed == []


def check_leaves_subnet(shell, nns):
    """Checks that the orchestrator can remove the state, and call the scripts that free space and read keys."""
    checks = Checks()
    shown = shell.check("curl --silent http://[::1]:7070/ssh-keys").splitlines()
    checks.equal("SSH keys on the dashboard", shown, [f"readonly: {len(KEYS)}", "backup: 0", "admin: 0"])
    nns.registry = {"registry_version": 3, "ssh_keys": {"readonly": KEYS}, "public_ipv4_config": IPV4}
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
    check_ipv4(shell)
    request = next(body for method, _, body in nns.requests if method == "POST")
    assert request["signer"] == "node_operator_private_key.pem"
    assert request["endpoints"]["api"] == {"ip": ADDRESS, "port": 8080}
    dashboard = shell.check("curl --silent http://[::1]:7070/")
    assert f"node ID: {request['node_id']}\n" in dashboard

    path = offer_update(nns, IMAGES / "update-img-test.tar.zst", test_version)
    shell = log_in(machine)
    check_node(shell, "B", test_version)
    check_ipv4(shell)
    assert [each for _, each, _ in nns.requests if each == path] == [path]
    assert sum(method == "POST" for method, _, _ in nns.requests) == 1, "the node is registered once"
    assert f"node ID: {request['node_id']}\n" in shell.check("curl --silent http://[::1]:7070/")
    assert int(shell.check("cat /var/lib/ic/data/orchestrator/reboot_time.txt")) > 0
    assert shell.run("test -e /var/lib/ic/data/images/image.bin").status == 1
    check_leaves_subnet(shell, nns)
    check_ipv4_changes(shell, nns)
