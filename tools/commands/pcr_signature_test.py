import json

import pytest

from tools.commands import pcr_signature, unified_kernel_image
from tools.core.cli import call
from tools.testing.oracles import ask
from tools.testing.pe_files import kernel, pe_file
from tools.testing.uefi_files import make_certificate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image that has the public key."""
    monkeypatch.chdir(tmp_path)
    for name, data in {
        "stub": pe_file(room=0x600),
        "kernel": kernel(),
        "initrd": b"initrd",
        "os-release": b"ID=test\n",
    }.items():
        (tmp_path / name).write_bytes(data)
    for name in ("pcr", "other"):
        make_certificate(tmp_path, name)
    (tmp_path / "public.pem").write_text(ask("openssl", "pkey", "-in", "pcr.key.pem", "-pubout"))
    assert build("--pcr_public_key=public.pem") == 0
    return tmp_path


def build(*flags):
    parts = ["--stub=stub", "--kernel=kernel", "--initrd=initrd", "--os_release=os-release", "--word=quiet"]
    words = ["build", *parts, "--output=uki.efi", *flags]
    return call(unified_kernel_image.main, unified_kernel_image.Arguments, None, words)


def sign(*flags):
    return call(pcr_signature.main, pcr_signature.Arguments, None, ["sign", *flags])


def test_signed_here_and_elsewhere_are_the_same_bytes(folder):
    digests = {}
    for phase, name in (("enter-initrd", "0"), (":", "1")):
        assert sign("uki.efi", f"--phase={phase}", f"--to_sign_output={name}") == 0
        ask("openssl", "dgst", "-sha256", "-sign", "pcr.key.pem", "-out", f"{name}.sig", name)
        digests[phase] = (folder / name).read_bytes().hex()
    phases = [f"--phase={phase}" for phase in digests]
    assert sign("uki.efi", *phases, "--key=pcr.key.pem", "--output=here.efi") == 0
    assert sign("uki.efi", *phases, "--signature=0.sig", "--signature=1.sig", "--output=elsewhere.efi") == 0
    assert (folder / "elsewhere.efi").read_bytes() == (folder / "here.efi").read_bytes()
    assert policies(folder / "here.efi") == [digests[":"], digests["enter-initrd"]]


def policies(path):
    """Returns the digests of policies that an image has signatures of."""
    ask("objcopy", "-O", "binary", "--only-section=.pcrsig", path, "dumped")
    text = (path.parent / "dumped").read_bytes().rstrip(b"\0")
    return [entry["pol"] for entry in json.loads(text)["sha256"]]


def test_there_are_four_phases_by_default(folder):
    assert sign("uki.efi", "--key=pcr.key.pem", "--output=signed.efi") == 0
    assert len(policies(folder / "signed.efi")) == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("uki.efi",), "there is nothing to write: give --output or --to_sign_output"),
        (("uki.efi", "--output=out"), "--key, --signature: give one of them, not both or none"),
        (("uki.efi", "--output=out", "--key=pcr.key.pem", "--signature=stub"), "--key, --signature: give one of them"),
        (
            ("uki.efi", "--output=out", "--key=other.key.pem"),
            "other.key.pem: is not the private key of the public key in",
        ),
        (("uki.efi", "--output=out", "--key=none"), "none: cannot be read"),
        (("uki.efi", "--output=out", "--signature=stub"), "--signature: there are 4 phases and 1 signatures"),
        (
            ("uki.efi", "--output=out", "--signature=initrd", "--phase=:"),
            "uki.efi: the signature for the phase ':' is not one of it",
        ),
        (("uki.efi", "--to_sign_output=out"), "--phase: --to_sign_output is for one phase, and there are 4; give one"),
        (("uki.efi", "--to_sign_output=out", "--phase=a b"), "'a b': is not a phase"),
        (("stub", "--output=out", "--key=pcr.key.pem"), "stub: has no section .pcrpkey"),
        (("initrd", "--output=out", "--key=pcr.key.pem"), "initrd: is not a PE file"),
    ],
)
def test_refuses(folder, capsys, flags, message):
    assert sign(*flags) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("pcr.key.pem", "pcr.key.pem: is not a public key as PEM"), ("none", "none: cannot be read")],
)
def test_a_bad_public_key_is_refused(folder, capsys, name, message):
    (folder / "uki.efi").unlink()
    assert build(f"--pcr_public_key={name}") == 2
    assert message in capsys.readouterr().err
    assert not (folder / "uki.efi").exists()
