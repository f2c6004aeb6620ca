import hashlib

import pytest

from guestos_tools import list_update_keys
from tools.core.cli import call
from tools.testing.oracles import ask


def make_key(name, header=""):
    """Creates a key pair; returns the id of the public key, as openssl has it."""
    ask("openssl", "genpkey", "-quiet", "-algorithm", "ed25519", "-out", f"{name}.key")
    ask("openssl", "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pem")
    ask("openssl", "pkey", "-in", f"{name}.key", "-pubout", "-outform", "der", "-out", f"{name}.der")
    with open(f"{name}.pem") as file:
        text = file.read()
    with open(f"{name}.pem", "w") as file:
        file.write(header + text)
    with open(f"{name}.der", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    command = ["list_update_keys", "--variant=prod", "--output=out", *arguments]
    return call(list_update_keys.main, list_update_keys.Arguments, None, command)


def test_lists_ids_and_expiry_dates(folder):
    one, two = make_key("one"), make_key("two", "# Of 2026.\nExpires: 2030-12-31\n")
    assert run("one.pem", "two.pem") == 0
    assert (folder / "out").read_text() == (
        "Machines with this image (prod) accept upgrades that are signed by one of these keys:\n"
        f"{one}  one.pem, does not expire\n"
        f"{two}  two.pem, expires after 2030-12-31\n"
    )


def test_says_that_there_are_none(folder):
    assert run() == 0
    assert (folder / "out").read_text() == (
        "Machines with this image (prod) accept no upgrade: it has no update keys.\n"
    )


def test_lists_bootstrap_keys(folder):
    one = make_key("one")
    assert run("--use=bootstrap", "one.pem") == 0
    assert (folder / "out").read_text() == (
        "Machines with this image (prod) accept bootstrap media that are signed by one of these keys alone:\n"
        f"{one}  one.pem, does not expire\n"
    )
    assert run("--use=bootstrap") == 0
    assert "(prod) accept every bootstrap medium: it has no bootstrap keys.\n" in (folder / "out").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["misspelt.pem"], "misspelt.pem: line 1: 'Expire: 2030-12-31' is not `Expires: YYYY-MM-DD`"),
        (["one.key"], "one.key: line 1: '-----BEGIN PRIVATE KEY-----' is not"),
        (["rsa.pem"], "rsa.pem: is not a public key of Ed25519"),
        (["none.pem"], "none.pem: cannot be read"),
        (["one.pem", "again.pem"], "again.pem: is the same key as one.pem"),
        (["--refused_key=again.pem", "one.pem"], "one.pem: must not be a key of prod: it is again.pem"),
    ],
)
def test_refuses(folder, capsys, arguments, message):
    make_key("one")
    make_key("misspelt", "Expire: 2030-12-31\n")
    (folder / "again.pem").write_text((folder / "one.pem").read_text())
    ask("openssl", "genpkey", "-quiet", "-algorithm", "rsa", "-out", "rsa.key")
    ask("openssl", "pkey", "-in", "rsa.key", "-pubout", "-out", "rsa.pem")
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "out").exists()
