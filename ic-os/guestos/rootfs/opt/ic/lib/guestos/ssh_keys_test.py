import io
import os
import pwd
import stat
import sys

import pytest

from guestos import ssh_keys
from guestos.errors import GuestError

KEYS = b"ssh-ed25519 AAAAC3Nza one\nssh-ed25519 AAAAC3Nzb two"


@pytest.fixture
def account(monkeypatch):
    """An account of the test's own user, whom every test may give files to."""
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(pwd, "getpwnam", {"readonly": me, "backup": me}.__getitem__)
    return me


def test_the_file_has_the_keys_the_owner_and_the_mode(tmp_path, account):
    folder = tmp_path / "keys"
    old = os.umask(0o026)
    try:
        assert ssh_keys.provision("readonly", KEYS, str(folder))
    finally:
        os.umask(old)
    status = (folder / "readonly").stat()
    assert (folder / "readonly").read_bytes() == KEYS + b"\n"
    assert (status.st_uid, status.st_gid) == (account.pw_uid, account.pw_gid)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert os.listdir(folder) == ["readonly"]


def test_a_newline_at_the_end_stays_one(tmp_path, account):
    ssh_keys.provision("backup", KEYS + b"\n", str(tmp_path))
    assert ssh_keys.read("backup", str(tmp_path)) == KEYS + b"\n"


@pytest.mark.parametrize("empty", [b"", b"\n", b" \n"])
def test_no_keys_remove_all(tmp_path, account, empty):
    ssh_keys.provision("backup", KEYS, str(tmp_path))
    assert not ssh_keys.provision("backup", empty, str(tmp_path))
    assert ssh_keys.read("backup", str(tmp_path)) == b""
    # sshd is not started on a machine whose directory of keys is empty.
    assert os.listdir(tmp_path) == []
    assert not ssh_keys.provision("backup", empty, str(tmp_path))


@pytest.mark.parametrize("keys", [b"x" * (1 << 20) + b"y", b"ssh-ed25519 \0"])
def test_what_is_no_list_of_keys_changes_nothing(tmp_path, account, keys):
    ssh_keys.provision("backup", KEYS, str(tmp_path))
    with pytest.raises(GuestError, match="its keys are unchanged"):
        ssh_keys.provision("backup", keys, str(tmp_path))
    assert ssh_keys.read("backup", str(tmp_path)) == KEYS + b"\n"


def test_an_unknown_account_is_an_error(tmp_path, account):
    with pytest.raises(GuestError, match="account nobody4 does not exist"):
        ssh_keys.provision("nobody4", KEYS, str(tmp_path))


@pytest.mark.parametrize("failure", ["file", "folder"])
def test_a_file_that_cannot_be_written_is_an_error(tmp_path, account, failure):
    if failure == "file":
        (tmp_path / "backup").mkdir()
        (tmp_path / "backup/x").touch()
    else:
        (tmp_path / "keys").touch()
    with pytest.raises(GuestError, match="cannot be written"):
        ssh_keys.provision("backup", KEYS, str(tmp_path / "keys" if failure == "folder" else tmp_path))


@pytest.fixture
def script(monkeypatch, tmp_path, account):
    """Runs one of the scripts as root; returns exit status."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(ssh_keys.provision, "__defaults__", (str(tmp_path),))
    monkeypatch.setattr(ssh_keys.read, "__defaults__", (str(tmp_path),))
    monkeypatch.setattr(ssh_keys, "_START_SSH", ("/bin/sh", "-c", f"echo start >>{tmp_path}.started"))

    def run(main, *arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["x.sh", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return main("/opt/ic/bin/x.sh")

    return run


def test_keys_go_in_and_come_out(script, capfdbinary, tmp_path):
    assert script(ssh_keys.provision_main, "readonly", stdin=KEYS) == 0
    assert script(ssh_keys.read_main, "readonly") == 0
    assert script(ssh_keys.read_main, "admin") == 0
    assert capfdbinary.readouterr() == (KEYS + b"\n", b"")


def test_sshd_is_started_when_there_are_keys(script, tmp_path):
    started = tmp_path.with_name(f"{tmp_path.name}.started")
    assert script(ssh_keys.provision_main, "readonly") == 0
    assert not started.exists()
    assert script(ssh_keys.provision_main, "readonly", stdin=KEYS) == 0
    assert started.read_text() == "start\n"


def test_the_orchestrator_sets_no_keys_of_administrators(script, capsys):
    for account in ("admin", "root", "../readonly", ""):
        assert script(ssh_keys.provision_main, account, stdin=KEYS) == 2
        assert capsys.readouterr().err == f"x.sh: error: {account!r} is not one of backup, readonly\n"
    assert script(ssh_keys.read_main, "root") == 2


def test_an_account_is_needed(script):
    with pytest.raises(SystemExit) as ended:
        script(ssh_keys.provision_main)
    assert ended.value.code == 2
