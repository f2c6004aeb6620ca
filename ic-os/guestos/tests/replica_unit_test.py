"""Tests of the units that start the replica."""

import re
import shlex
from pathlib import Path

import pytest

ROOTFS = Path(__file__).parents[1] / "rootfs"
UNITS = ROOTFS / "etc/systemd/system"


def setting(unit, key):
    """Returns the values of a key in a unit, each with its continuation lines."""
    text = (UNITS / unit).read_text().replace("\\\n", " ")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def words(unit, key):
    return " ".join(setting(unit, key)).split()


def options(command):
    """Returns the program of a command line, and its options with their values; None for a switch."""
    program, *rest = shlex.split(command)
    found = {}
    for word, value in zip(rest, [*rest[1:], "-"], strict=True):
        if word.startswith("-"):
            found[word] = None if value.startswith("-") else value
    return program, found


def test_the_orchestrator_gets_the_flags_that_it_needs():
    (command,) = setting("ic-replica.service", "ExecStart")
    assert options(command) == (
        "/opt/ic/bin/orchestrator",
        {
            "--replica-binary-dir": "/var/lib/ic/data/images",
            "--cup-dir": "/var/lib/ic/data/cups",
            "--replica-config-file": "/run/ic-node/config/ic.json5",
            "--enable-provisional-registration": None,
            "--ic-binary-directory": "/opt/ic/bin",
            "--orchestrator-data-directory": "/var/lib/ic/data/orchestrator",
            "--version-file": "/opt/ic/share/version.txt",
        },
    )


def test_its_configuration_is_generated_as_root_from_all_files():
    (command,) = setting("ic-replica.service", "ExecStartPre")
    program, found = options(command)
    assert program == "+/opt/ic/bin/generate-replica-config.sh"
    names = {"-n": "network", "-c": "nns", "-b": "backup", "-l": "log", "-m": "malicious_behavior"}
    names |= {"-q": "query_stats", "-t": "jaeger_addr"}
    assert found == {option: f"/boot/config/{name}.conf" for option, name in names.items()} | {
        "-i": "/opt/ic/share/ic.json5.template",
        "-o": "/run/ic-node/config/ic.json5",
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", "ic-replica"),
        ("UMask", "0026"),
        ("Environment", "RUST_BACKTRACE=1 RUST_MIN_STACK=8192000"),
        ("Restart", "always"),
        ("RestartSec", "10"),
        ("LimitNOFILE", "1048576"),
        ("StartLimitIntervalSec", "0"),
        ("Alias", "orchestrator.service"),
        # sudo and setgid directories need privileges.
        ("NoNewPrivileges", None),
        ("Group", None),
    ],
)
def test_the_service_has(key, value):
    assert setting("ic-replica.service", key) == ([] if value is None else [value])


def test_order():
    before = {
        "bootstrap-ic-node.service",
        "setup-permissions.service",
        "ic-crypto-csp.service",
        "network-online.target",
    }
    assert before <= set(words("ic-replica.service", "After"))
    assert before <= set(words("ic-replica.service", "Wants"))
    assert "bootstrap-ic-node.service" in words("setup-permissions.service", "After")
    # It copies a key from there.
    assert "/boot/config" in words("setup-permissions.service", "RequiresMountsFor")
    assert "systemd-networkd-wait-online.service" in words("network-online.target.d/10-guestos.conf", "Wants")


def test_units_are_enabled():
    assert {"ic-replica.service", "setup-permissions.service"} <= set(
        words("multi-user.target.d/10-guestos.conf", "Wants")
    )


def test_the_system_is_named_by_its_own_name():
    """The former name is an alias, for people and scripts outside of this repository."""
    for path in ROOTFS.rglob("*"):
        if path.is_file() and path.suffix != ".adoc":
            named = re.findall(rb"^(?!Alias=).*\borchestrator\.service.*$", path.read_bytes(), re.MULTILINE)
            assert named == [], path


def test_sysctl():
    text = (ROOTFS / "etc/sysctl.d/60-replica.conf").read_text()
    values = dict(re.findall(r"^-?([a-z][\w.]*) = (.*)$", text, re.MULTILINE))
    expected = {
        "vm.max_map_count": "2097152",
        "net.ipv4.ip_unprivileged_port_start": "79",
        "net.ipv4.tcp_congestion_control": "bbr",
        "net.core.default_qdisc": "fq",
        "net.core.rmem_max": "134217728",
        "net.core.wmem_max": "134217728",
        "net.ipv4.tcp_rmem": "4096 131072 134217728",
        "net.ipv4.tcp_wmem": "4096 131072 134217728",
        "net.ipv4.tcp_notsent_lowat": "16384",
        "net.ipv4.ping_group_range": "0 2147483647",
    }
    assert values == expected


@pytest.mark.parametrize("kind", ["hardlinks", "symlinks", "fifos", "regular"])
def test_links_to_files_of_other_accounts_are_restricted(kind):
    """Root changes owners in directories of services; no package that is installed sets this."""
    text = (ROOTFS / "etc/sysctl.d/60-guestos.conf").read_text()
    assert f"\nfs.protected_{kind} = 1\n" in text
