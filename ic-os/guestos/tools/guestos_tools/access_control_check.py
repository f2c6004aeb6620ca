"""Checks mandatory access control on a running machine: the profiles of processes, and what AppArmor reported."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tools.core.text import escaped
from tools.vm.checks import Checks
from tools.vm.shell import Shell

_SANDBOX = "canister-sandbox//&orchestrator//&replica"
_PROFILES = {
    "/opt/ic/bin/canister_sandbox": {_SANDBOX},
    "/opt/ic/bin/ic-btc-adapter": {"ic-btc-mainnet-adapter", "ic-btc-testnet-adapter"},
    "/opt/ic/bin/ic-crypto-csp": {"ic-crypto-csp"},
    "/opt/ic/bin/ic-https-outcalls-adapter": {"ic-https-outcalls-adapter"},
    "/opt/ic/bin/orchestrator": {"orchestrator"},
    "/opt/ic/bin/replica": {"orchestrator//&replica"},
    "/opt/ic/bin/retry-ipv6-config.sh": {"retry-ipv6-config"},
    "/opt/ic/bin/sandbox_launcher": {_SANDBOX},
    "/usr/bin/prometheus-node-exporter": {"node_exporter"},
    "/usr/lib/systemd/systemd-journal-gatewayd": {"journal-gateway"},
}
"""The programs that run for as long as the machine does, and the profiles of their processes."""

_PROCESSES = (
    "for process in /proc/[0-9]*; do "
    r"""read -r profile <$process/attr/current && echo "$profile $(tr '\0' ' ' <$process/cmdline)"; """
    "done 2>/dev/null"
)
_FIELDS = (
    *("profile", "label", "operation", "class", "name", "srcname", "target", "peer", "peer_label", "path", "interface"),
    *("member", "fstype", "flags", "info", "comm", "requested", "requested_mask", "mask", "capname"),
)


def check_access_control(shell: Shell, mode: str, checks: Checks) -> None:
    """Checks that services run with their profiles, and do nothing that these do not permit.

    Args:
        shell: of root.
        mode: that the kernel gives all profiles, such as `complain`.
        checks: takes the results.
    """
    checks.equal("the mode of AppArmor", shell.check("cat /sys/module/apparmor/parameters/mode").strip(), mode)
    profiles = profiles_of(shell.run(_PROCESSES).output.splitlines())
    checks.equal("profiles of services", profiles, _PROFILES)
    check_violations(shell, checks)


def check_sandbox(shell: Shell, checks: Checks) -> None:
    """Checks that a canister's sandbox has its profile in addition to those of the replica and the orchestrator."""
    profiles = profiles_of(shell.run(_PROCESSES).output.splitlines())
    found = profiles.get("/opt/ic/bin/canister_sandbox")
    checks.equal("the profiles of a sandbox", found, {_SANDBOX})


def check_violations(shell: Shell, checks: Checks) -> None:
    """Checks that no program did what its profile does not permit, since the boot."""
    lines = shell.run("journalctl --boot --no-pager --output=cat --grep='apparmor=.(ALLOWED|DENIED)'").output
    checks.equal("what the profiles do not permit", violations(lines.splitlines()), [])


def profiles_of(lines: Iterable[str]) -> dict[str, set[str]]:
    """Returns the profiles of the programs in `_PROFILES`.

    Args:
        lines: one for each process: its profile, its mode in parentheses unless it has no profile, its command line.
    """
    found: dict[str, set[str]] = {}
    for line in lines:
        match = re.match(r"(\S+) (?:\(\w+\) )?(.*)", line)
        for word in match[2].split() if match else ():
            if match and word in _PROFILES:
                found.setdefault(word, set()).add(match[1])
    return found


def violations(messages: Iterable[str]) -> list[str]:
    """Returns what AppArmor denied, or permitted against a profile in complain mode; each once, and readable.

    Args:
        messages: of the kernel, such as `audit: type=1400 … apparmor="DENIED" operation="open" profile="replica" …`.
    """
    found = set()
    for message in messages:
        if re.search(r'apparmor="(ALLOWED|DENIED)"', message):
            fields = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', message))
            found.add(escaped(" ".join(f"{name}={fields[name]}" for name in _FIELDS if name in fields)))
    return sorted(found)
