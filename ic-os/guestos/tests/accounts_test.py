"""Tests that accounts, directories and units of the system's own configuration agree."""

import re
from pathlib import Path

import pytest

from tools.rootfs.accounts import Databases, merge
from tools.rootfs.sysusers import parse_sysusers

ROOTFS = Path(__file__).parents[1] / "rootfs"
SYSUSERS = ROOTFS / "usr/lib/sysusers.d/guestos.conf"
TMPFILES = ROOTFS / "etc/tmpfiles.d/guestos.conf"
UNITS = ROOTFS / "etc/systemd/system"

# The lines of Debian that ours refer to.
DEBIAN = Databases(
    passwd="root:x:0:0:root:/root:/bin/bash\nbackup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n",
    group="root:x:0:\nbackup:x:34:\nsudo:x:27:\nsystemd-journal:x:999:\n",
    shadow="",
    gshadow="",
)

# The supplementary groups that the release binaries and their operators rely on.
GROUPS = {
    "ic-replica": "backup ic-csp-vault-socket ic-http-adapter ic-registry-local-store nonconfidential vsock",
    "ic-csp-vault": "ic-csp-vault-socket",
    "ic-http-adapter": "",
    "node_exporter": "",
    "filebeat": "systemd-journal",
    "journalbeat": "systemd-journal",
    "admin": "backup ic-registry-local-store nonconfidential ssh-session sudo systemd-journal vsock",
    "backup": "ic-registry-local-store ssh-session systemd-journal",
    "readonly": "backup ic-registry-local-store nonconfidential ssh-session systemd-journal",
}


# They own files on volumes that both slots share, so a release must not change them; a new account gets a new number.
USERS = {
    "root": 0,
    "backup": 34,
    "admin": 601,
    "readonly": 602,
    "ic-replica": 611,
    "ic-csp-vault": 612,
    "ic-http-adapter": 615,
    "node_exporter": 618,
    "filebeat": 619,
    "journalbeat": 620,
}
ONLY_GROUPS = {
    "ic-csp-vault-socket": 613,
    "nonconfidential": 614,
    "ic-registry-local-store": 616,
    "vsock": 617,
    "ssh-session": 621,
}


@pytest.fixture(scope="module")
def databases():
    return merge(DEBIAN, parse_sysusers(SYSUSERS.read_text(), "guestos.conf"), {}, "guestos.conf")


def users(databases):
    return {line.split(":")[0] for line in databases.passwd.splitlines()}


def groups(databases):
    return {line.split(":")[0] for line in databases.group.splitlines()}


@pytest.mark.parametrize("user", GROUPS)
def test_accounts_have_exactly_their_groups(databases, user):
    found = [line.split(":") for line in databases.group.splitlines()]
    assert {row[0] for row in found if user in row[3].split(",")} == set(GROUPS[user].split())


def ids(text):
    return {row[0]: int(row[2]) for row in (line.split(":") for line in text.splitlines())}


def test_ids_do_not_change(databases):
    assert ids(databases.passwd) == USERS
    assert ids(databases.group) == USERS | ONLY_GROUPS | {"sudo": 27, "systemd-journal": 999}


def test_only_accounts_for_people_have_a_shell(databases):
    rows = [line.split(":") for line in databases.passwd.splitlines()]
    people = {row[0] for row in rows if not row[6].endswith("/nologin")}
    assert people == {"root", "admin", "backup", "readonly"}


def test_owners_of_directories_exist(databases):
    rows = [line.split() for line in TMPFILES.read_text().splitlines() if line and not line.startswith("#")]
    assert len(rows) > 10
    assert {row[3] for row in rows} <= users(databases)
    assert {row[4] for row in rows} <= groups(databases)


def test_accounts_of_units_exist(databases):
    names = {"User": users(databases), "SocketUser": users(databases)}
    names |= {"Group": groups(databases), "SocketGroup": groups(databases)}
    found = 0
    for unit in sorted(UNITS.rglob("*")):
        if unit.is_file():
            for key, name in re.findall(r"^(User|SocketUser|Group|SocketGroup)=(.+)$", unit.read_text(), re.MULTILINE):
                assert name in names[key], f"{unit.name}: {key}={name}"
                found += 1
    assert found
