"""The signatures of PCR 11 that a kernel image of the rule has are those that systemd-measure makes of its sections."""

import base64
import json
import shutil
from pathlib import Path

import pefile
import pytest

from tools.testing.oracles import ask
from tools.testing.systemd_measure import SystemdMeasure

FOLDER = Path("tests/own_keys")
IMAGE = FOLDER / "measured.efi"
KEY = FOLDER / "testdata/pcr.key.pem"
CERTIFICATE = Path("ic-os/guestos/secure-boot-keys/test-only.pem")
MEASURED = {".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat", ".pcrpkey"}


@pytest.fixture(scope="module")
def sections():
    with pefile.PE(IMAGE, fast_load=True) as file:
        return {each.Name.rstrip(b"\0").decode(): each.get_data()[: each.Misc_VirtualSize] for each in file.sections}


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """The private key; systemd-measure logs a warning of one that others may read."""
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.touch(0o600)
    shutil.copyfile(KEY, path)
    return path


def test_the_signatures_are_those_of_systemd_measure(sections, key, tmp_path):
    measured = {name: sections[name] for name in MEASURED}
    assert sections[".pcrsig"].decode() == SystemdMeasure(tmp_path).sign(measured, [], key)


def test_what_is_signed_elsewhere_gives_the_same_signatures(sections, tmp_path):
    entries = json.loads(sections[".pcrsig"])["sha256"]
    assert len(entries) == 4
    for number, entry in enumerate(entries):
        to_sign = FOLDER / f"measured.pcr_to_sign.{number}"
        assert to_sign.read_bytes().hex() == entry["pol"]
        ask("openssl", "dgst", "-sha256", "-sign", KEY, "-out", tmp_path / "signature", to_sign)
        assert (tmp_path / "signature").read_bytes() == base64.b64decode(entry["sig"])


def test_the_signature_for_secure_boot_covers_them(tmp_path):
    assert "Signature verification OK" in ask("sbverify", "--cert", CERTIFICATE, IMAGE)
    data = bytearray(IMAGE.read_bytes())
    data[data.index(b'{"sha256":[')] ^= 1
    (tmp_path / "changed.efi").write_bytes(data)
    assert "Signature verification OK" not in ask(
        "sbverify", "--cert", CERTIFICATE, tmp_path / "changed.efi", check=False
    )
