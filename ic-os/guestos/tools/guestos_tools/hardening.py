"""What the GuestOS promises about its own hardening: exposure of its services, and the profile of kernel and system.

ic-os/guestos/doc/Hardening.adoc explains the values. Tests compare them with the assembled root and with machines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

NETWORK, CRYPTO, OTHER = 4.0, 2.5, 6.0
"""The most that `systemd-analyze security` may say of a service: of one that talks to other machines, of the one that
holds the node's keys, and of all others."""

_CLASSES: dict[float, str] = {
    NETWORK: """
        ic-btc-mainnet-adapter ic-btc-testnet-adapter ic-https-outcalls-adapter ic-onchain-observability-adapter
        ic-replica log-shipping node_exporter ssh systemd-journal-gatewayd systemd-networkd systemd-resolved
        systemd-timesyncd
    """,
    CRYPTO: "ic-crypto-csp",
    OTHER: """
        boot-metrics bootstrap-ic-node emergency end-trial generate-network-config load-apparmor-profiles
        monitor-expand-shared-data nftables pcscd privileged-scripts@ reload_nftables report-hardening rescue
        retry-ipv6-config save-machine-id setup-hostname setup-node_exporter-keys setup-permissions setup-ssh-host-key
        setup-store setup-var ssh-session@ systemd-networkd-wait-online systemd-udev-trigger update-loader
        watchdog-fallback
    """,
}

BOUNDS: Mapping[str, float] = MappingProxyType(
    {f"{name}.service": bound for bound, names in _CLASSES.items() for name in names.split()}
)
"""The bound of each service of the system."""

PRIVILEGED = ("/usr/bin/mount", "/usr/bin/sudo", "/usr/bin/umount", "/usr/sbin/unix_chkpwd")
"""All programs of an image with a set-user-ID or set-group-ID bit."""

PROFILE: Mapping[str, str] = MappingProxyType(
    {
        "dev.tty.ldisc_autoload": "0",
        "dev.tty.legacy_tiocsti": "0",
        "fs.protected_fifos": "2",
        "fs.protected_hardlinks": "1",
        "fs.protected_regular": "2",
        "fs.protected_symlinks": "1",
        "fs.suid_dumpable": "0",
        "kernel.dmesg_restrict": "1",
        "kernel.kexec_load_disabled": "1",
        "kernel.kptr_restrict": "2",
        "kernel.panic_on_oops": "1",
        "kernel.perf_event_paranoid": "3",
        "kernel.randomize_va_space": "2",
        "kernel.sysrq": "0",
        "kernel.unprivileged_bpf_disabled": "1",
        "kernel.yama.ptrace_scope": "2",
        "lockdown": "none [integrity] confidentiality",
        "module.sig_enforce": "Y",
        "modules.loadable": "",
        "net.core.bpf_jit_harden": "2",
        "net.ipv4.conf.*.accept_redirects": "0",
        "net.ipv4.conf.*.accept_source_route": "0",
        "net.ipv4.conf.*.rp_filter": "1",
        "net.ipv4.conf.*.secure_redirects": "0",
        "net.ipv4.conf.*.send_redirects": "0",
        "net.ipv4.icmp_echo_ignore_broadcasts": "1",
        "net.ipv4.icmp_ignore_bogus_error_responses": "1",
        "net.ipv4.ip_forward": "0",
        "net.ipv4.tcp_syncookies": "1",
        "net.ipv6.conf.*.accept_redirects": "0",
        "net.ipv6.conf.*.accept_source_route": "0",
        "net.ipv6.conf.all.forwarding": "0",
        "sshd.allowagentforwarding": "no",
        "sshd.allowstreamlocalforwarding": "no",
        "sshd.allowtcpforwarding": "no",
        "sshd.authenticationmethods": "publickey",
        "sshd.disableforwarding": "yes",
        "sshd.forcecommand": "/opt/ic/bin/run-ssh-session.py",
        "sshd.gatewayports": "no",
        "sshd.hostbasedauthentication": "no",
        "sshd.kbdinteractiveauthentication": "no",
        "sshd.maxauthtries": "4",
        "sshd.passwordauthentication": "no",
        "sshd.permitemptypasswords": "no",
        "sshd.permitrootlogin": "no",
        "sshd.permittunnel": "no",
        "sshd.permituserenvironment": "no",
        "sshd.permituserrc": "no",
        "sshd.x11forwarding": "no",
        "tainted": "0",
        "user.max_user_namespaces": "0",
    }
)
"""What report-hardening.sh logs on prod."""

_OTHERWISE = {"dev": {"kernel.sysrq": "438", "sshd.permitrootlogin": "without-password"}}
"""What is different in other variants: the console of dev has SysRq keys, as Debian sets them, and root may log in by a
key."""


def profile(variant: str) -> dict[str, str]:
    """Returns what report-hardening.sh logs on a variant, `dev` or `prod`."""
    return {**PROFILE, **_OTHERWISE.get(variant, {})}


def differences(lines: Iterable[str], variant: str) -> list[str]:
    """Returns how a report differs from the profile, a line for each value; empty if it doesn't.

    Args:
        lines: of report-hardening.sh.
        variant: of the system.
    """
    found = dict(line.strip().split("=", 1) for line in lines if "=" in line)
    expected = profile(variant)
    return [
        f"{name} is {found.get(name, 'missing')!r}, not {expected.get(name, 'in the profile')!r}"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]


def instance(unit: str) -> str:
    """Returns a name of a unit by which systemd-analyze can load it; that of a template has no instance."""
    return unit.replace("@.", "@0.")


def exposures(output: str) -> dict[str, float]:
    """Returns the scores of services, from the output of `systemd-analyze security UNIT…`."""
    lines = re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", output)
    return {unit.replace("@0.", "@."): float(score) for unit, score in lines}


def too_exposed(scores: Mapping[str, float]) -> list[str]:
    """Returns a line for each service whose score is missing or above its bound, and for each one without a bound."""
    return [
        f"{unit}: {scores.get(unit, 'no score')}, at most {BOUNDS.get(unit, 'a bound is missing')}"
        for unit in sorted(scores.keys() | BOUNDS.keys())
        if unit not in scores or unit not in BOUNDS or scores[unit] > BOUNDS[unit]
    ]
