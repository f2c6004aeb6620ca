"""Tests of what the orchestrator's account may run as root."""

import re
from pathlib import Path

import pytest

from tools.testing.oracles import ask

SUDOERS = Path(__file__).parents[1] / "rootfs/etc/sudoers.d/guestos"
MANAGEBOOT = "/opt/ic/bin/manageboot.sh"
PROVISION = "/opt/ic/bin/provision-ssh-keys.sh"
READ = "/opt/ic/bin/read-ssh-keys.sh"
NETWORK = "/opt/ic/bin/guestos_tool"
TRIM = "/opt/ic/bin/sync_fstrim.sh"


def rules():
    """Returns the programs and the expressions for their arguments that ic-replica may run."""
    text = SUDOERS.read_text().replace("\\\n", " ")
    aliases = dict(re.findall(r"^Cmnd_Alias (\w+) = (.*)$", text, re.MULTILINE))
    (names,) = re.findall(r"^ic-replica ALL=\(root\) NOPASSWD: (.*)$", text, re.MULTILINE)
    found = [re.findall(r'\s*(/\S+) (\^.*?\$|"")(?:,|$)', aliases[name]) for name in names.split(", ")]
    # "" permits no arguments.
    return [(program, "^$" if arguments == '""' else arguments) for part in found for program, arguments in part]


def permitted(program, arguments):
    return any(program == name and re.search(expression, arguments) for name, expression in rules())


def test_visudo_accepts_the_file(tmp_path):
    copy = tmp_path / "guestos"
    copy.write_bytes(SUDOERS.read_bytes())
    copy.chmod(0o440)
    assert "parsed OK" in ask("visudo", "--check", "--strict", f"--file={copy}")


def test_nothing_but_five_scripts_with_arguments():
    found = rules()
    assert {program for program, _ in found} == {MANAGEBOOT, NETWORK, PROVISION, READ, TRIM}
    assert len(found) == 6
    assert "NOPASSWD: ALL" not in SUDOERS.read_text().split("\nic-replica")[1]


@pytest.mark.parametrize("first", ["", "guestos "])
@pytest.mark.parametrize(
    "arguments", ["upgrade-install /var/lib/ic/data/images/image.bin", "upgrade-commit", "confirm", "status", "metrics"]
)
def test_what_the_orchestrator_does_is_permitted(first, arguments):
    assert permitted(MANAGEBOOT, first + arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "-f /etc/passwd confirm",
        "confirm more",
        "upgrade-commit --no-reboot",
        "upgrade-install /etc/shadow",
        "upgrade-install /var/lib/ic/data/images/../x",
        "upgrade-install /var/lib/ic/data/images/a/b",
        "upgrade-install --allow-downgrade /var/lib/ic/data/images/image.bin",
        "upgrade-install /var/lib/ic/data/images/image.bin --allow-downgrade",
        "end-trial",
    ],
)
def test_other_arguments_are_refused(arguments):
    assert not permitted(MANAGEBOOT, arguments)


def test_blocks_are_freed_of_the_data_volume_only():
    assert permitted(TRIM, "")
    assert not permitted(TRIM, "/")


def test_ssh_keys_of_administrators_are_read_only():
    for account in ("backup", "readonly"):
        assert permitted(PROVISION, account)
        assert permitted(READ, account)
    assert permitted(READ, "admin")
    for account in ("admin", "root", "", "backup readonly"):
        assert not permitted(PROVISION, account)
    assert not permitted(READ, "root")


def test_the_ipv4_address_is_set_and_removed():
    action = "regenerate-network-config"
    options = "--ipv4-address=192.0.2.5 --ipv4-prefix-length=24 --ipv4-gateway=192.0.2.1"
    assert permitted(NETWORK, f"{action} {options}")
    assert permitted(NETWORK, action)
    for arguments in ("", "other", f"{action} --ipv4-address=a", f"{action} --help", f"-x {action}"):
        assert not permitted(NETWORK, arguments)
