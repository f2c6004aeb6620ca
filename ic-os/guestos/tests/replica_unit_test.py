"""Tests of the units that start the replica."""

import re
import shlex
from pathlib import Path

import pytest
from guestos import privileged_scripts

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
        ("Restart", "always"),
        ("RestartSec", "10"),
        ("LimitNOFILE", "1048576"),
        ("StartLimitIntervalSec", "0"),
        ("Alias", "orchestrator.service"),
        # The canister sandbox compiles code, and directories have the set-group-ID bit.
        ("MemoryDenyWriteExecute", None),
        ("RestrictSUIDSGID", None),
        ("NoNewPrivileges", "yes"),
        ("Group", None),
    ],
)
def test_the_service_has(key, value):
    assert setting("ic-replica.service", key) == ([] if value is None else [value])


def test_the_environment_has_settings_of_rust_and_a_program_in_place_of_sudo():
    rust, path = setting("ic-replica.service", "Environment")
    assert rust == "RUST_BACKTRACE=1 RUST_MIN_STACK=8192000"
    first, *others = path.removeprefix("PATH=").split(":")
    assert (ROOTFS / first.lstrip("/") / "sudo").stat().st_mode & 0o111 == 0o111
    assert {"/usr/bin", "/usr/sbin"} <= set(others)


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


def test_what_the_orchestrator_writes_is_writable_for_it():
    assert words("ic-replica.service", "ProtectSystem") == ["strict"]
    options_ = options(setting("ic-replica.service", "ExecStart")[0])[1]
    written = [options_[name] for name in ("--replica-binary-dir", "--cup-dir", "--orchestrator-data-directory")]
    template = (ROOTFS / "opt/ic/share/ic.json5.template").read_text()
    written += re.findall(r'(?:local_store|state_root|consensus_pool_path|spool_path|config_file): "(.*?)/?"', template)
    assert len(written) == 8
    allowed = words("ic-replica.service", "ReadWritePaths")
    assert [path for path in written if not any(path.startswith(folder) for folder in allowed)] == []


def test_the_socket_of_the_scripts_is_for_the_orchestrator():
    assert setting("privileged-scripts.socket", "ListenSequentialPacket") == [privileged_scripts.SOCKET]
    assert setting("privileged-scripts.socket", "SocketGroup") == ["ic-replica"]
    assert setting("privileged-scripts.socket", "SocketMode") == ["0660"]
    # sudo's rules for that account say what is permitted, so it may not be root.
    assert setting("privileged-scripts@.service", "User") == ["ic-replica"]
    assert "privileged-scripts.socket" in words("ic-replica.service", "After")
    assert "privileged-scripts.socket" in words("sockets.target.d/10-guestos.conf", "Wants")
