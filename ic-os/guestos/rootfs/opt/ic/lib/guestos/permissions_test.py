import grp
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from guestos import bootstrap, permissions
from guestos.permissions import Rule

FOLDER = Rule("data/ic_state", "service", "readers")
KEY = Rule("data/operator.pem", "service", "readers", 0o400)


@pytest.fixture
def changes(monkeypatch):
    """The owners that were set, by path. Owners that differ from everybody's need root, so none is really set."""
    owners = {}

    def chown(path, uid, gid):
        owners[os.readlink(path)] = (uid, gid)

    class Entry:
        pw_uid, gr_gid = 4711, 4712

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(pwd, "getpwnam", {"service": Entry}.__getitem__)
    monkeypatch.setattr(grp, "getgrnam", {"readers": Entry}.__getitem__)
    return owners


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store/data").mkdir(parents=True)
    return tmp_path / "store"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def apply(store, *rules):
    return permissions.main(str(store), rules)


def test_a_tree_gets_its_owner_and_modes(store, changes):
    state = store / "data/ic_state"
    (state / "a/b").mkdir(parents=True)
    for name, before in {"a/file": 0o777, "a/b/program": 0o100, "a/b/data": 0o606, "a/suid": 0o6600}.items():
        (state / name).touch()
        (state / name).chmod(before)
    (state / "a").chmod(0o1777)
    assert apply(store, FOLDER) == 0
    folders, files = [state, state / "a", state / "a/b"], [state / "a/b/data", state / "a/suid"]
    programs = [state / "a/file", state / "a/b/program"]
    assert {mode(path) for path in folders} == {0o2750}
    assert {mode(path) for path in files} == {0o640}
    assert {mode(path) for path in programs} == {0o750}
    assert changes == {str(path): (4711, 4712) for path in folders + files + programs}


def test_secrets_are_for_their_owner_alone(store, changes):
    keys = store / "crypto"
    (keys / "keys").mkdir(parents=True)
    (keys / "keys/private").touch(0o640)
    assert apply(store, Rule("crypto", "service", "readers", secret=True)) == 0
    assert (mode(keys), mode(keys / "keys"), mode(keys / "keys/private")) == (0o2750, 0o2750, 0o600)


def test_the_nodes_keys_are_secret():
    """They get the mode that the import of a bootstrap medium gives them."""
    (rule,) = (each for each in permissions.RULES if each.path == "crypto")
    assert rule.secret
    assert bootstrap.MEMBERS["ic_crypto"].mode == 0o600


def test_updates_are_downloaded_to_a_directory_of_the_orchestrator():
    """On machines of an older release it may belong to root, as whom the orchestrator ran there."""
    assert Rule("data/images", "ic-replica", "nonconfidential") in permissions.RULES


def test_what_is_missing_is_created_with_what_is_above(store, changes):
    assert apply(store, Rule("data/ic_state/page_deltas", "service", "readers")) == 0
    assert mode(store / "data/ic_state/page_deltas") == 0o2750
    assert apply(store, KEY) == 0
    assert not (store / KEY.path).exists()


def test_what_is_right_is_left_alone(store, monkeypatch):
    me = pwd.getpwuid(os.getuid())
    rule = Rule("data/ic_state", me.pw_name, grp.getgrgid(os.getgid()).gr_name)
    (store / rule.path).mkdir()
    (store / rule.path / "file").touch()
    assert apply(store, rule) == 0
    monkeypatch.setattr(os, "chown", None)
    monkeypatch.setattr(os, "chmod", None)
    assert apply(store, rule) == 0


def test_links_are_not_followed(store, changes, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "shadow").touch(mode=0o600)
    state = store / "data/ic_state"
    state.mkdir()
    (state / "folder").symlink_to(outside)
    (state / "file").symlink_to(outside / "shadow")
    (store / KEY.path).symlink_to(outside / "shadow")
    assert apply(store, FOLDER, KEY) == 0
    assert list(changes) == [str(state)]
    assert (mode(outside), mode(outside / "shadow")) == (0o755, 0o600)


@pytest.mark.parametrize("where", ["data", "data/ic_state"])
def test_a_link_in_place_of_a_directory_is_an_error(store, changes, tmp_path, capsys, where):
    outside = tmp_path / "outside"
    (outside / "ic_state").mkdir(parents=True)
    if where == "data":
        (store / "data").rmdir()
    (store / where).symlink_to(outside)
    assert apply(store, FOLDER, Rule("backup", "service", "readers")) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        f"<3>setup-permissions.sh: error: {store}/data/ic_state: its owner and mode cannot be set: "
    )
    assert error.count("\n") == 1
    assert list(changes) == [str(store / "backup")]


def test_devices_and_pipes_are_not_opened(store, changes):
    state = store / "data/ic_state"
    state.mkdir()
    os.mkfifo(state / "pipe", 0o666)
    assert apply(store, FOLDER) == 0
    assert list(changes) == [str(state)]


def test_the_file_systems_own_directory_is_left_alone(store, changes):
    (store / "backup/lost+found").mkdir(parents=True, mode=0o700)
    assert apply(store, Rule("backup", "service", "readers")) == 0
    assert mode(store / "backup/lost+found") == 0o700


def test_a_key_gets_its_own_mode(store, changes):
    (store / KEY.path).write_text("secret")
    assert apply(store, KEY) == 0
    assert mode(store / KEY.path) == 0o400
    assert changes == {str(store / KEY.path): (4711, 4712)}


@pytest.fixture
def former(tmp_path):
    """A key of an older release in the config store, and the rule that copies it."""
    path = tmp_path / "config/nns_public_key.pem"
    path.parent.mkdir()
    path.write_text("of the config store")
    return path, Rule("data/nns_public_key.pem", "service", "readers", 0o644, former=str(path))


def test_a_key_of_an_older_release_is_copied_to_where_the_programs_look(store, former):
    me = pwd.getpwuid(os.getuid())
    _, rule = former
    rule = Rule(rule.path, me.pw_name, grp.getgrgid(os.getgid()).gr_name, rule.mode, former=rule.former)
    key = store / rule.path
    assert apply(store, rule) == 0
    assert (key.read_text(), mode(key)) == ("of the config store", 0o644)
    key.write_text("newer")
    assert apply(store, rule) == 0
    assert key.read_text() == "newer"
    assert sorted(os.listdir(key.parent)) == [key.name]


def test_without_a_former_key_nothing_is_copied(store, former, changes):
    path, rule = former
    path.unlink()
    assert apply(store, rule) == 0
    assert os.listdir(store / "data") == []


def test_a_key_is_not_written_through_a_link(store, former, changes, tmp_path):
    _, rule = former
    (store / rule.path).symlink_to(tmp_path / "outside")
    assert apply(store, rule) == 0
    assert not (tmp_path / "outside").exists()
    assert changes == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.write_bytes(bytes(1 << 17)), "has more than 65536 bytes"),
    ],
)
def test_another_former_key_is_an_error(store, former, changes, capsys, make, message):
    path, rule = former
    path.unlink()
    make(path)
    assert apply(store, rule, FOLDER) == 1
    assert capsys.readouterr().err == f"<3>setup-permissions.sh: error: {path}: {message}\n"
    assert list(changes) == [str(store / FOLDER.path)]


def test_the_key_of_the_nns_is_looked_for_in_the_config_store():
    (rule,) = (each for each in permissions.RULES if each.path == "data/nns_public_key.pem")
    assert rule.former == f"{bootstrap.CONFIG}/nns_public_key.pem"


def test_a_deep_tree_is_an_error(store, changes, capsys):
    (store / "data/ic_state" / "/".join("d" * 101)).mkdir(parents=True)
    assert apply(store, FOLDER) == 1
    assert "more than 100 levels of directories" in capsys.readouterr().err


def test_an_unknown_account_is_an_error(store, changes, capsys):
    assert apply(store, Rule("data/x", "nobody4", "readers")) == 1
    assert "its owner nobody4:readers does not exist on this system" in capsys.readouterr().err


def test_another_file_system_is_left_alone(store):
    """In namespaces of its own, where the test may mount; the owner is the user of the test."""
    code = (
        "import sys; from guestos import permissions; from guestos.permissions import Rule;"
        "sys.exit(permissions.main(sys.argv[1], (Rule('data/ic_state', 'root', 'root'),)))"
    )
    script = (
        'mkdir -p "$1/data/ic_state/mounted" && mount -t tmpfs -o mode=0777 none "$1/data/ic_state/mounted" &&'
        ' echo mounted && "$2" -c "$3" "$1" && stat -c %a "$1/data/ic_state" "$1/data/ic_state/mounted"'
    )
    environment = os.environ | {"PYTHONPATH": str(Path(permissions.__file__).parents[1])}
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", store, sys.executable, code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("mounted\n"):
        pytest.skip(f"this machine permits no mounts in a namespace: {done.stderr.strip()}")
    assert (done.returncode, done.stdout.split()) == (0, ["mounted", "2750", "777"]), done.stderr
