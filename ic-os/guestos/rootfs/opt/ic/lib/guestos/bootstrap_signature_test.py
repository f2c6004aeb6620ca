import hashlib
import os
import subprocess
import tarfile

import pytest

from guestos import bootstrap, bootstrap_signature, signatures
from guestos.bootstrap_policy import FOLDER, read_policy
from guestos.environment import Environment
from guestos.errors import GuestError
from guestos.update_keys import read_key


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with the key pairs good, other and expired: NAME.key.pem and NAME.pem."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("good", "other", "expired"):
        openssl("genpkey", "-algorithm", "ed25519", "-out", f"{folder}/{name}.key.pem")
        openssl("pkey", "-in", f"{folder}/{name}.key.pem", "-pubout", "-out", f"{folder}/{name}.pem")
    (folder / "expired.pem").write_text("Expires: 2020-12-31\n" + (folder / "expired.pem").read_text())
    return folder


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of dev without bootstrap keys: the folders root and share, and medium for the medium's files."""
    monkeypatch.setattr(bootstrap, "owner_of", lambda _: (os.geteuid(), os.getegid()))
    for name in ("root/boot/config", "root/var/lib/ic/data", f"share/{FOLDER}", "medium"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "share/system.json").write_text('{"product": "guestos", "variant": "dev"}')
    path = tmp_path / "medium" / bootstrap.ARCHIVE
    with tarfile.open(path, "w") as tar:
        (tmp_path / "nns.conf").write_text("nns_url=https://nns.example\n")
        tar.add(tmp_path / "nns.conf", "nns.conf")
    return tmp_path


def trust(machine, *keys):
    for key in keys:
        (machine / "share" / FOLDER / key.name).write_bytes(key.read_bytes())


def signature(data, keys, name):
    """Returns a line of a file of signatures, by openssl."""
    (keys / "data").write_bytes(data)
    command = ["pkeyutl", "-sign", "-rawin", "-inkey", f"{keys}/{name}.key.pem"]
    openssl(*command, "-in", f"{keys}/data", "-out", f"{keys}/signature")
    return f"ed25519 {read_key(f'{keys}/{name}.pem').id} {(keys / 'signature').read_bytes().hex()}\n"


def statement(machine):
    data = (machine / "medium" / bootstrap.ARCHIVE).read_bytes()
    return f"# GuestOS bootstrap medium\n{hashlib.sha256(data).hexdigest()}  ic-bootstrap.tar\n".encode()


def sign(machine, text):
    (machine / "medium/ic-bootstrap.tar.sig").write_text(text)


def take(machine):
    """Imports the archive, as the machine's policy has it; returns the names in its config store."""
    policy = read_policy(Environment(share=str(machine / "share")))
    bootstrap.import_archive(machine / "medium" / bootstrap.ARCHIVE, machine / "root", policy)
    return sorted(os.listdir(machine / "root/boot/config"))


def untouched(machine):
    return not any(path.is_file() for path in (machine / "root").rglob("*"))


def test_without_bootstrap_keys_no_signature_is_needed(machine):
    assert take(machine) == ["CONFIGURED", "nns.conf"]


def test_a_signed_archive_is_taken(machine, keys):
    trust(machine, keys / "good.pem")
    sign(machine, signature(statement(machine), keys, "good"))
    assert take(machine) == ["CONFIGURED", "nns.conf"]
    assert os.listdir(machine / "root/var/lib/ic/data") == []


def test_one_of_two_signatures_is_sufficient(machine, keys):
    trust(machine, keys / "good.pem")
    sign(machine, signature(statement(machine), keys, "other") + signature(statement(machine), keys, "good"))
    assert take(machine) == ["CONFIGURED", "nns.conf"]


def test_an_archive_without_a_signature_is_refused(machine, keys):
    trust(machine, keys / "good.pem")
    with pytest.raises(GuestError, match="the archive is not signed"):
        take(machine)
    assert untouched(machine)


@pytest.mark.parametrize(("signer", "message"), [("other", "does not trust"), ("expired", "expired on 2020-12-31")])
def test_a_signature_by_another_key_is_refused(machine, keys, signer, message):
    trust(machine, keys / "good.pem", keys / "expired.pem")
    sign(machine, signature(statement(machine), keys, signer))
    with pytest.raises(GuestError, match=f"the archive is signed by a key that .*{message}"):
        take(machine)
    assert untouched(machine)


def test_a_changed_archive_is_refused(machine, keys):
    trust(machine, keys / "good.pem")
    sign(machine, signature(statement(machine), keys, "good"))
    path = machine / "medium" / bootstrap.ARCHIVE
    path.write_bytes(path.read_bytes().replace(b"nns.example", b"bad.example"))
    with pytest.raises(GuestError, match="the signature of the archive is invalid"):
        take(machine)
    assert untouched(machine)


def test_a_signature_of_something_else_is_refused(machine, keys):
    """A signature of the archive's bytes alone may be meant for something else, such as an update's manifest."""
    trust(machine, keys / "good.pem")
    data = (machine / "medium" / bootstrap.ARCHIVE).read_bytes()
    for text in (data, statement(machine).partition(b"\n")[2]):
        sign(machine, signature(text, keys, "good"))
        with pytest.raises(GuestError, match="the signature of the archive is invalid"):
            take(machine)


def test_what_was_verified_is_what_is_written(machine, keys, monkeypatch):
    """A medium that gives other bytes after the verification has no effect."""
    trust(machine, keys / "good.pem")
    sign(machine, signature(statement(machine), keys, "good"))
    verify, path = signatures.verify, machine / "medium" / bootstrap.ARCHIVE

    def verify_and_change(*arguments):
        key = verify(*arguments)
        path.write_bytes(path.read_bytes().replace(b"nns.example", b"bad.example"))
        return key

    monkeypatch.setattr(signatures, "verify", verify_and_change)
    take(machine)
    assert (machine / "root/boot/config/nns.conf").read_text() == "nns_url=https://nns.example\n"


def test_an_archive_without_an_end_does_not_fill_the_disk(machine, keys, monkeypatch):
    trust(machine, keys / "good.pem")
    monkeypatch.setattr(bootstrap_signature, "_MAX_ARCHIVE", 4096)
    with pytest.raises(GuestError, match="more than 4096 bytes"):
        take(machine)
    assert untouched(machine)


def test_an_invalid_key_in_the_image_is_an_error(machine):
    (machine / "share" / FOLDER / "a.pem").write_text("Expire: 2030-12-31\n")
    with pytest.raises(GuestError, match=r"a\.pem: line 1: "):
        take(machine)
