"""Tests the units of the network, and the script that configures it again."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOTFS = Path(__file__).parents[1] / "rootfs"
UNITS = ROOTFS / "etc/systemd/system"

FAKES = {
    # Ends the script's loop after a number of rounds.
    "sleep": 'echo "sleep $1" >>"$LOG"; [ "$(grep -c ^sleep "$LOG")" -le "$ROUNDS" ]',
    "networkctl": 'echo "networkctl $*" >>"$LOG"',
    "setup-hostname.sh": 'echo "hostname $*" >>"$LOG"; exit "$HOSTNAME_STATUS"',
    # Prints an address from a round on, one link-local address before.
    "ip": 'case "$*" in *"dev ens3 scope $SCOPE "*) [ "$(grep -c ^sleep "$LOG")" -lt "$FROM" ] || echo "$LINE" ;; esac',
}
LINE = "2: ens3    inet6 2001:db8::5/64 scope global dynamic mngtmpaddr noprefixroute \\       valid_lft 86sec"


@pytest.fixture
def run(tmp_path):
    """Runs the script with programs that log their calls; returns the log."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in FAKES.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    net = tmp_path / "class" / "net"
    net.mkdir(parents=True)
    script = (ROOTFS / "opt/ic/bin/retry-ipv6-config.sh").read_text()
    script = script.replace("/opt/ic/bin", str(folder)).replace("/sys/class/net", str(net))
    (tmp_path / "retry.sh").write_text(script)

    def run(rounds, first_with_address, *, scope="global", hostname_status=0, interfaces=("virtual/lo", "pci/ens3")):
        for interface in interfaces:
            device = tmp_path / "devices" / interface
            device.mkdir(parents=True)
            (net / device.name).symlink_to(device)
        log = tmp_path / "log"
        log.write_text("")
        values = {"LOG": log, "ROUNDS": rounds, "FROM": first_with_address, "SCOPE": scope, "LINE": LINE}
        values["HOSTNAME_STATUS"] = hostname_status
        environment = os.environ | {name: str(value) for name, value in values.items()}
        environment["PATH"] = f"{folder}:{os.environ['PATH']}"
        subprocess.run(["sh", tmp_path / "retry.sh"], check=True, env=environment, timeout=60)
        return log.read_text().splitlines()

    return run


@pytest.mark.parametrize("scope", ["global", "site"])
@pytest.mark.parametrize("status", [0, 1])
def test_with_an_address_only_the_host_name_is_set_once(run, scope, status):
    log = run(3, 0, scope=scope, hostname_status=status)
    assert log == ["sleep 10", "hostname 2001:db8::5", "sleep 60", "sleep 60", "sleep 60"]


def test_the_interface_is_configured_again_until_it_has_an_address(run):
    again = "networkctl reconfigure ens3"
    log = run(8, 8)
    delays = [f"sleep {delay}" for delay in (10, 20, 40, 80, 160, 320, 320)]
    assert log == [each for delay in delays for each in (delay, again)] + [
        "sleep 320",
        "hostname 2001:db8::5",
        "sleep 60",
    ]


def test_a_machine_without_a_hardware_interface_waits(run):
    assert run(2, 0, interfaces=("virtual/lo",)) == ["sleep 10"] * 3


def test_an_address_for_the_link_alone_is_none(run):
    assert "networkctl reconfigure ens3" in run(1, 0, scope="link")


@pytest.mark.parametrize(
    ("usb", "found_after", "pauses"),
    [(False, 0, 0), (False, None, 0), (True, 0, 0), (True, 3, 3), (True, None, 10)],
)
def test_the_import_waits_for_usb_disks_alone(tmp_path, usb, found_after, pauses):
    text = (UNITS / "bootstrap-ic-node.service").read_text().replace("\\\n", " ")
    condition = re.search(r"^ExecStartPre=(.*)$", text, re.MULTILINE)[1]
    media, bus, log = (tmp_path / name for name in ("media", "usb", "log"))
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = {"udevadm": "", "sleep": f'echo >>"{log}"; [ "$(wc -l <"{log}")" != {found_after} ] || mkdir "{media}"'}
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    for path, exists in ((media, found_after == 0), (bus, usb)):
        if exists:
            path.mkdir()
    log.write_text("")
    command = shlex.split(condition.replace("/dev/guestos/bootstrap", str(media)).replace("/sys/bus/usb", str(bus)))
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(command, check=True, env=environment, timeout=60)
    assert len(log.read_text()) == pauses


def test_a_medium_is_imported_once_a_boot():
    """Without a medium, too, the service is active at its end; else each start of the replica would start it again."""
    text = (UNITS / "bootstrap-ic-node.service").read_text()
    assert "RefuseManualStart=yes" in text
    assert "RemainAfterExit=yes" in text
    assert "ExecCondition" not in text


def names(unit, key):
    """Returns the units that a setting of a unit file names."""
    values = re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)
    return {name for value in values for name in value.split()}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("bootstrap-ic-node.service", "generate-network-config.service"),
        ("bootstrap-ic-node.service", "setup-hostname.service"),
        ("bootstrap-ic-node.service", "ssh.service"),
        ("generate-network-config.service", "systemd-networkd.service"),
        ("setup-hostname.service", "systemd-networkd.service"),
    ],
)
def test_the_order_of_the_boot(first, then):
    before = names(first, "Before")
    after = names(then, "After") if (UNITS / then).is_file() else set()
    assert then in before or first in after


@pytest.mark.parametrize(
    "unit", ["bootstrap-ic-node", "generate-network-config", "setup-hostname", "retry-ipv6-config"]
)
def test_units_are_started_and_their_programs_exist(unit):
    assert f"{unit}.service" in names("multi-user.target.d/10-guestos.conf", "Wants")
    programs = re.findall(r"^ExecStart=(/opt/ic/\S+)", (UNITS / f"{unit}.service").read_text(), re.MULTILINE)
    assert programs
    assert all((ROOTFS / program[1:]).is_file() for program in programs)


def test_no_unit_is_ordered_by_a_name_that_no_unit_has():
    former = re.compile(r"\b(bootstrap|configure-network)\.service\b|\bnftables-reload\.")
    files = [path for path in (ROOTFS / "etc").rglob("*") if path.is_file()]
    assert [str(path) for path in files if former.search(path.read_text())] == []
