"""Checks, on a running system, what the orchestrator and the replica rely on: their account, files and scripts."""

from __future__ import annotations

from tools.vm.checks import Checks
from tools.vm.shell import Shell

_AS_REPLICA = "runuser -u ic-replica --"
_MANAGEBOOT = "/opt/ic/bin/manageboot.sh"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtq test"

_OWNERS = {
    "/run/ic-node/config/ic.json5": "root:root 644",
    "/run/ic-node/crypto-csp": "root:ic-csp-vault-socket 770",
    "/run/ic-node/nftables-ruleset": "root:ic-replica 775",
    "/var/lib/ic/backup": "ic-replica:backup 2750",
    "/var/lib/ic/crypto": "ic-csp-vault:ic-csp-vault 2750",
    "/var/lib/ic/data/cups": "ic-replica:nonconfidential 2750",
    "/var/lib/ic/data/ic_registry_local_store": "ic-replica:ic-registry-local-store 2750",
    "/var/lib/ic/data/ic_state/page_deltas": "ic-replica:nonconfidential 2750",
}
"""Owner, group and mode of paths, as `stat` prints them."""

_LIMITS = {
    "sysctl -n vm.max_map_count": "2097152",
    "sysctl -n net.ipv4.tcp_congestion_control": "bbr",
    "systemctl show --property=LimitNOFILE --value ic-replica.service": "1048576",
    "systemctl show --property=User --value orchestrator.service": "ic-replica",
    "systemctl is-active orchestrator.service": "active",
}


def check_replica_account(shell: Shell, checks: Checks) -> None:
    """Checks files, limits, and the scripts that ic-replica calls without sudo."""
    for path, expected in _OWNERS.items():
        checks.equal(f"{path} is", shell.run(f"stat --format='%U:%G %a' {path}").output.strip(), expected)
    for command, expected in _LIMITS.items():
        checks.equal(f"`{command}`", shell.run(command).output.strip(), expected)
    for action in ("confirm", "guestos confirm", "current"):
        result = shell.run(f"{_AS_REPLICA} {_MANAGEBOOT} {action}")
        checks.equal(f"ic-replica runs manageboot.sh {action}", result.status, 0)
    for forbidden in (f"{_MANAGEBOOT} -f /run/grubenv confirm", "/usr/bin/id"):
        result = shell.run(f"{_AS_REPLICA} sudo --non-interactive {forbidden}")
        checks.true(f"sudo refuses {forbidden}", result.status != 0, result.output)
    _check_ssh_keys(shell, checks)


def _check_ssh_keys(shell: Shell, checks: Checks) -> None:
    """Sets the keys of `readonly` as the orchestrator does, without a newline at the end, and removes them."""
    path = "/boot/config/accounts_ssh_authorized_keys/readonly"
    provision = f"{_AS_REPLICA} /opt/ic/bin/provision-ssh-keys.sh readonly"
    checks.equal("ic-replica sets SSH keys", shell.run(f"printf %s '{_KEY}' | {provision}").status, 0)
    keys = shell.run(f"{_AS_REPLICA} /opt/ic/bin/read-ssh-keys.sh readonly")
    checks.equal("ic-replica reads SSH keys", (keys.status, keys.output.strip()), (0, _KEY))
    owner = shell.run(f"stat --format='%U:%G %a' {path}").output.strip()
    checks.equal(f"{path} is", owner, "readonly:readonly 600")
    checks.equal("ic-replica removes SSH keys", shell.run(f"{provision} </dev/null; test ! -e {path}").status, 0)
