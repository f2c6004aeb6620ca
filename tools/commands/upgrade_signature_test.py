import base64
import hashlib

import pytest

from tools.commands import upgrade_signature
from tools.core.cli import call
from tools.testing.oracles import ask
from tools.upgrade.signing import decode, private_key_id, public_key_id

SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
MESSAGE = b"\x72"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
"""RFC 8032, section 7.1, test 2."""

OTHER_SECRET = bytes(32)


def pem(kind, prefix, key):
    text = base64.b64encode(bytes.fromhex(prefix) + key).decode()
    return f"-----BEGIN {kind} KEY-----\n{text}\n-----END {kind} KEY-----\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.pem").write_text(pem("PRIVATE", "302e020100300506032b657004220420", SECRET))
    (tmp_path / "public.pem").write_text("Of a test.\n" + pem("PUBLIC", "302a300506032b6570032100", PUBLIC))
    (tmp_path / "other.pem").write_text(pem("PRIVATE", "302e020100300506032b657004220420", OTHER_SECRET))
    ask("openssl", "pkey", "-in", "other.pem", "-pubout", "-out", "other_public.pem")
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "manifest").write_bytes(b"{}\n")
    return tmp_path


def run(*flags):
    return call(upgrade_signature.main, upgrade_signature.Arguments, None, ["sign", *flags])


def test_signs_as_the_standard_says(folder):
    assert run("--manifest=message", "--key=key.pem", "--output=out") == 0
    key_id = hashlib.sha256(bytes.fromhex("302a300506032b6570032100") + PUBLIC).hexdigest()
    assert (folder / "out").read_text() == f"ed25519 {key_id} {SIGNATURE}\n"
    assert private_key_id("key.pem") == public_key_id("public.pem") == key_id


def test_openssl_accepts_a_signature(folder):
    assert run("--manifest=manifest", "--key=other.pem", "--output=out") == 0
    (folder / "raw").write_bytes(decode("out")[0].value)
    verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "other_public.pem"]
    ask("openssl", *verify, "-in", "manifest", "-sigfile", "raw")


def test_signs_with_several_keys(folder):
    assert run("--manifest=manifest", "--key=key.pem", "--key=other.pem", "--output=out") == 0
    assert [each.key_id for each in decode("out")] == [private_key_id("key.pem"), private_key_id("other.pem")]


def test_takes_signatures_that_were_made_elsewhere(folder):
    assert run("--manifest=manifest", "--key=key.pem", "--output=signed") == 0
    assert run("--manifest=manifest", "--signature=signed", "--public_key=public.pem", "--output=out") == 0
    assert (folder / "out").read_bytes() == (folder / "signed").read_bytes()


@pytest.mark.parametrize(
    ("keys", "public_keys"),
    [
        (["key"], ["public"]),
        (["key"], ["other_public", "public"]),
        (["other", "key"], ["public"]),
        (["other"], []),
    ],
    ids=["key of the machines", "one of several keys", "the old and the new key", "unknown machines"],
)
def test_signs_what_machines_accept(folder, keys, public_keys):
    flags = [f"--key={name}.pem" for name in keys] + [f"--public_key={name}.pem" for name in public_keys]
    assert run("--manifest=manifest", *flags, "--output=out") == 0


def test_refuses_to_sign_what_no_machine_accepts(folder, capsys):
    assert run("--manifest=manifest", "--key=other.pem", "--public_key=public.pem", "--output=out") == 2
    assert capsys.readouterr().err == (
        "error: other.pem: signs an image that no machine accepts: it is not the private half of public.pem; sign with "
        "the private half of one of these, or add the public half of other.pem to them: `openssl pkey -in other.pem "
        "-pubout` prints it\n"
    )
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "there is nothing to sign with"),
        (
            ("--key=key.pem", "--refused_key=public.pem"),
            "key.pem: must not sign this: it is the private half of public",
        ),
        (("--key=none.pem",), "none.pem: cannot be read: No such file or directory"),
        (("--key=public.pem",), "public.pem: is not a private key as PEM"),
        (("--key=manifest",), "manifest: is not a private key as PEM"),
        (("--key=encrypted.pem",), "encrypted.pem: is encrypted; `openssl pkey -in encrypted.pem` decrypts it"),
        (("--key=rsa.pem",), "rsa.pem: is not a key of Ed25519"),
        (("--key=key.pem", "--refused_key=key.pem"), "key.pem: is not a public key as PEM"),
        (("--key=key.pem", "--refused_key=rsa_public.pem"), "rsa_public.pem: is not a key of Ed25519"),
        (("--key=key.pem", "--refused_key=none.pem"), "none.pem: cannot be read"),
        (("--signature=signed",), "signed: has a signature of manifest that none of the public keys accepts"),
        (("--signature=signed", "--public_key=other_public.pem"), "that none of the public keys accepts"),
        (("--signature=of_message", "--public_key=public.pem"), "that none of the public keys accepts"),
        (("--signature=signed", "--refused_key=public.pem"), "signed: has a signature by public.pem, which must not"),
        (("--signature=manifest",), "manifest: line 1 is not a signature"),
        (("--signature=none",), "none: cannot be read"),
    ],
)
def test_refuses(folder, capsys, flags, message):
    assert run("--manifest=manifest", "--key=key.pem", "--output=signed") == 0
    assert run("--manifest=message", "--key=key.pem", "--output=of_message") == 0
    ask("openssl", "genpkey", "-quiet", "-algorithm", "rsa", "-out", "rsa.pem")
    ask("openssl", "pkey", "-in", "rsa.pem", "-pubout", "-out", "rsa_public.pem")
    ask("openssl", "pkey", "-in", "key.pem", "-aes256", "-passout", "pass:word", "-out", "encrypted.pem")
    assert run("--manifest=manifest", *flags, "--output=out") == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "out").exists()
