import hashlib

import pytest

from tools.commands import secure_boot_signature, unified_kernel_image
from tools.core.cli import call
from tools.testing.oracles import ask
from tools.testing.pe_files import kernel, pe_file

PARTS = ("--stub=stub", "--kernel=kernel", "--initrd=initrd", "--os_release=os-release")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in {
        "stub": pe_file(),
        "kernel": kernel(),
        "initrd": b"initrd" * 1000,
        "os-release": b"ID=test\n",
        "words": b"quiet # says little\npanic=10\n",
        "root_hash": b"00ff\n",
    }.items():
        (tmp_path / name).write_bytes(data)
    ask(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=db"),
        *("-keyout", "key.pem", "-out", "db.pem"),
    )
    return tmp_path


def build(*flags):
    arguments = ["build", *PARTS, "--output=uki.efi", *flags]
    return call(unified_kernel_image.main, unified_kernel_image.Arguments, None, arguments)


def sign(*flags):
    return call(secure_boot_signature.main, secure_boot_signature.Arguments, None, ["sign", *flags])


def dumped(section):
    ask("objcopy", "-O", "binary", f"--only-section={section}", "uki.efi", "dumped")
    with open("dumped", "rb") as file:
        return file.read()


def test_the_command_line_has_files_words_and_root_hash(folder):
    assert build("--input=words", "--word=slot=A", "--root_hash_file=root_hash", "--root_hash_argument=root") == 0
    assert dumped(".cmdline").rstrip(b"\0") == b"quiet panic=10 slot=A root=00ff --"
    assert dumped(".linux") == kernel()
    assert dumped(".initrd") == b"initrd" * 1000
    first = (folder / "uki.efi").read_bytes()
    assert build("--input=words", "--word=slot=A", "--root_hash_file=root_hash", "--root_hash_argument=root") == 0
    assert (folder / "uki.efi").read_bytes() == first


def test_an_old_stub_is_refused(folder, capsys):
    magic = b"#### LoaderInfo: systemd-stub 252.39-1~deb12u2 ####"
    (folder / "stub").write_bytes(pe_file([(".text", b"\xc3"), (".sdmagic", magic)]))
    assert build("--word=quiet", "--min_stub_version=257") == 2
    said = capsys.readouterr().err
    assert "stub: is of systemd 252, and must be of 257 or later" in said
    assert said.count("\n") == 1
    assert not (folder / "uki.efi").exists()
    assert build("--word=quiet", "--min_stub_version=252") == 0


def test_signed_here_and_elsewhere_are_the_same_bytes(folder):
    assert build("--word=quiet") == 0
    assert sign("uki.efi", "--to_sign_output=to_sign") == 0
    ask("openssl", "dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "to_sign")
    assert sign("uki.efi", "--certificate=db.pem", "--key=key.pem", "--output=here.efi") == 0
    assert sign("uki.efi", "--certificate=db.pem", "--signature=signature", "--output=elsewhere.efi") == 0
    digests = {hashlib.sha256((folder / f"{name}.efi").read_bytes()).digest() for name in ("here", "elsewhere")}
    assert len(digests) == 1
    assert "Signature verification OK" in ask("sbverify", "--cert", "db.pem", "here.efi")


ATTACKS = ["rdinit=/usr/bin/sh", "init=/bin/sh", "systemd.debug_shell", "systemd.unit=rescue.target"]


def accepted(path):
    """Returns whether sbverify accepts a file."""
    return "Signature verification OK" in ask("sbverify", "--cert", "db.pem", path, check=False)


@pytest.fixture
def signed(folder):
    """The bytes of a signed image, whose command line ends with an argument that is longer than each attack."""
    assert build("--word=quiet", f"--word=root_hash={'0' * 64}") == 0
    assert sign("uki.efi", "--certificate=db.pem", "--key=key.pem", "--output=signed.efi") == 0
    assert accepted("signed.efi")
    return (folder / "signed.efi").read_bytes()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_argument_that_is_put_into_the_command_line_is_refused(folder, signed, attack):
    """The place of an argument, and the rest of the section, which the size of the section hides."""
    at = signed.index(b"quiet root_hash=")
    end = at + len(b"quiet root_hash=") + 64
    assert signed[end : end + 20] == b" --" + bytes(17)
    for place, text in ((end - 64, attack.encode()), (end, b" " + attack.encode())):
        (folder / "changed.efi").write_bytes(signed[:place] + text + signed[place + len(text) :])
        assert not accepted("changed.efi")


def test_a_larger_section_is_refused(folder, signed):
    """The size of .cmdline in the headers, by which the rest of its last block would be read."""
    header = signed.index(b".cmdline")
    size = int.from_bytes(signed[header + 8 : header + 12], "little")
    assert size == len("quiet root_hash=") + 64 + len(" --")
    (folder / "changed.efi").write_bytes(
        signed[: header + 8] + (size + 20).to_bytes(4, "little") + signed[header + 12 :]
    )
    assert not accepted("changed.efi")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("uki.efi",), "there is nothing to write: give --output or --to_sign_output"),
        (("uki.efi", "--output=out"), "--key, --signature: give one of them, not both or none"),
        (("uki.efi", "--output=out", "--key=key.pem"), "--certificate: is missing"),
        (("uki.efi", "--output=out", "--key=key.pem", "--signature=s"), "--key, --signature: give one of them"),
        (("none", "--to_sign_output=out"), "none: cannot be"),
        (("db.pem", "--to_sign_output=out"), "db.pem: is not a PE file"),
        (("uki.efi", "--output=out", "--certificate=db.pem", "--signature=words"), "uki.efi: the signature is not one"),
        (("uki.efi", "--output=out", "--certificate=db.pem", "--signature=stub2"), "a signature by RSA has as many"),
        (("uki.efi", "--output=out", "--certificate=key.pem", "--key=key.pem"), "key.pem: is not a certificate"),
    ],
)
def test_refuses(folder, capsys, flags, message):
    (folder / "stub2").write_bytes(bytes(5000))
    assert build("--word=quiet") == 0
    assert sign(*flags) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "out").exists()


def test_bad_parts(folder, capsys):
    assert build() == 2
    assert ".cmdline: is empty" in capsys.readouterr().err
    assert build("--word=quiet", "--sbat=none") == 2
    assert "none: cannot be read" in capsys.readouterr().err
    assert not (folder / "uki.efi").exists()
