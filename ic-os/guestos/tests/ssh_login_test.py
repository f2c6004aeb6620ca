"""Tests of who may log in by SSH, and of what starts the sessions.

In sshd's configuration the first value of a setting counts (sshd_config(5)).
"""

import re
from pathlib import Path

import pytest
from guestos import ssh_session

GUESTOS = Path(__file__).parents[1]
FOLDER = "rootfs/etc/ssh/sshd_config.d"
UNITS = GUESTOS / "rootfs/etc/systemd/system"


def setting(variant, name):
    """Returns the value of a setting, from the files of an image in the order in which sshd reads them."""
    folders = GUESTOS / FOLDER, GUESTOS / variant / FOLDER
    files = {path.name: path for folder in folders for path in folder.glob("*.conf")}
    lines = [line.split(maxsplit=1) for _, path in sorted(files.items()) for line in path.read_text().splitlines()]
    return next(words[1] for words in lines if words and words[0].lower() == name.lower())


@pytest.mark.parametrize(("variant", "value"), [("dev", "prohibit-password"), ("prod", "no")])
def test_root_logs_in_on_dev_alone(variant, value):
    assert setting(variant, "PermitRootLogin") == value


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_nobody_logs_in_without_a_key(variant):
    assert setting(variant, "AuthenticationMethods") == "publickey"
    assert setting(variant, "PasswordAuthentication") == "no"


def values(unit, key):
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_sshd_starts_no_session_itself(variant):
    program = setting(variant, "ForceCommand")
    assert (GUESTOS / "rootfs" / program.lstrip("/")).is_file()
    assert values("ssh.service.d/10-guestos.conf", "NoNewPrivileges") == ["yes"]


def test_sessions_find_the_socket_of_their_service():
    assert values("ssh-session.socket", "ListenSequentialPacket") == [ssh_session.SOCKET]
    # accounts_test has who is in the group: a service that could connect would leave its sandbox.
    assert values("ssh-session.socket", "SocketGroup") == ["ssh-session"]
    assert values("ssh-session.socket", "SocketMode") == ["0660"]
    for key in ("Wants", "After"):
        assert "ssh-session.socket" in " ".join(values("ssh.service.d/10-guestos.conf", key)).split()


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_sessions_are_for_those_who_may_log_in(variant):
    folders = (GUESTOS / "rootfs", GUESTOS / variant / "rootfs")
    units = [folder / "etc/systemd/system" for folder in folders]
    files = [*units[0].glob("ssh-session@.service"), *units[1].glob("ssh-session@.service.d/*.conf")]
    started = re.findall("^ExecStart=(.+)$", "".join(file.read_text() for file in files), re.MULTILINE)
    root = set() if setting(variant, "PermitRootLogin") == "no" else {"root"}
    assert set(started[-1].split()[1:]) == set(setting(variant, "AllowUsers").split()) - {"root"} | root


def test_a_session_may_become_root_and_mount_for_the_machine():
    text = (UNITS / "ssh-session@.service").read_text()
    namespaces = "Protect|Private|ReadOnly|ReadWrite|Inaccessible|TemporaryFileSystem|RootDirectory|DynamicUser"
    assert re.findall(rf"^(?:NoNewPrivileges|RestrictSUIDSGID|{namespaces})\w*=", text, re.MULTILINE) == []


def test_what_runs_on_after_a_session_is_stopped_with_the_machine():
    assert values("ssh-session@.service", "ExitType") == ["cgroup"]
    assert values("ssh-session@.service", "SendSIGHUP") == ["yes"]
    assert values("ssh-session@.service", "KillMode") == []
