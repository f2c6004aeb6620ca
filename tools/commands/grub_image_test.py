import pefile
import pytest

from tools.commands import grub_image, grub_signature, secure_boot_signature
from tools.core.cli import call
from tools.testing.grub_files import build_grub
from tools.testing.oracles import ask
from tools.testing.uefi_files import make_certificate

SBAT = "sbat,1,SBAT Version,sbat,1,https://example\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {"a.cfg": "echo a", "b.cfg": "echo b\n", "sbat": SBAT, "system": "system\n"}.items():
        (tmp_path / name).write_text(text)
    build_grub(tmp_path)
    for name in ("db", "other"):
        make_certificate(tmp_path, name)
    return tmp_path


def build(*flags):
    words = ["build", "--deb=grub.deb", "--config=a.cfg", "--config=b.cfg", "--module=chain", "--output=grub.efi"]
    return call(grub_image.main, grub_image.Arguments, None, [*words, *flags])


def sign(*flags):
    return call(grub_signature.main, grub_signature.Arguments, None, ["sign", *flags])


def test_the_image_has_configuration_and_key_and_can_be_signed(folder):
    assert build("--certificate=db.pem", "--sbat=sbat") == 0
    file = pefile.PE("grub.efi")
    contents = {each.Name.rstrip(b"\0").decode(): each.get_data()[: each.Misc_VirtualSize] for each in file.sections}
    assert contents[".sbat"] == SBAT.encode()
    assert b"set check_signatures=enforce\necho a\necho b\n\0" in contents["mods"]
    numbers = ask("openssl", "x509", "-in", "db.pem", "-noout", "-modulus")
    assert bytes.fromhex(numbers.partition("=")[2]) in contents["mods"]
    words = ["sign", "grub.efi", "--certificate=db.pem", "--key=db.key.pem", "--output=signed.efi"]
    assert call(secure_boot_signature.main, secure_boot_signature.Arguments, None, words) == 0
    assert "Signature verification OK" in ask("sbverify", "--cert", "db.pem", "signed.efi")


def test_signed_here_and_elsewhere_are_the_same_bytes(folder):
    assert sign("system", "--to_sign_output=to_sign") == 0
    ask("openssl", "dgst", "-sha256", "-sign", "db.key.pem", "-out", "signature", "to_sign")
    assert sign("system", "--certificate=db.pem", "--key=db.key.pem", "--output=here") == 0
    assert sign("system", "--certificate=db.pem", "--signature=signature", "--output=elsewhere") == 0
    assert (folder / "here").read_bytes() == (folder / "elsewhere").read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("system",), "there is nothing to write: give --output or --to_sign_output"),
        (("system", "--output=out"), "--key, --signature: give one of them, not both or none"),
        (("system", "--output=out", "--key=db.key.pem"), "--certificate: is missing"),
        (("system", "--output=out", "--key=other.key.pem", "--certificate=db.pem"), "is not the private key of db.pem"),
        (("system", "--output=out", "--signature=sbat", "--certificate=db.pem"), "system: the signature for the boot"),
        (("system", "--output=out", "--signature=none", "--certificate=db.pem"), "none: cannot be read"),
        (("none", "--to_sign_output=out"), "none: cannot be"),
    ],
)
def test_signatures_that_are_refused(folder, capsys, flags, message):
    assert sign(*flags) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config=none"], "none: cannot be read"),
        (["--module=none"], "'none' is not a module of this GRUB"),
        (["--sbat=a.cfg"], "sbat: b'echo a' is not a line COMPONENT"),
        (["--certificate=db.key.pem"], "db.key.pem: is not a certificate"),
    ],
)
def test_images_that_are_refused(folder, capsys, flags, message):
    assert build(*flags) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "grub.efi").exists()
