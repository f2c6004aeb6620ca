import hashlib
import subprocess

import pefile
import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.pe.authenticode import file_digest, read_certificate, sign, signed, to_sign
from tools.pe.headers import read_pe
from tools.testing.oracles import ask, oracle
from tools.testing.pe_files import pe_file


def make_key(folder, name, bits=2048):
    ask(
        *("openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-days", "3650", "-subj", f"/CN={name}"),
        *("-keyout", folder / f"{name}.key.pem", "-out", folder / f"{name}.pem"),
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("one", "two"):
        make_key(folder, name)
    return folder


@pytest.fixture
def file():
    return read_pe(Image.from_bytes(pe_file()), "file")


def whole(image):
    return image.read(0, image.size)


def sign_by(keys, file, name="one"):
    signer = read_certificate(str(keys / f"{name}.pem"))
    return signed(file, sign(to_sign(file), str(keys / f"{name}.key.pem"), signer), signer)


def verify(keys, path, name):
    """Returns whether sbverify accepts a file by a certificate."""
    command = [oracle("sbverify"), "--cert", keys / f"{name}.pem", path]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_sbverify_accepts_it_by_the_right_certificate_only(keys, file, tmp_path):
    (tmp_path / "signed").write_bytes(whole(sign_by(keys, file)))
    assert verify(keys, tmp_path / "signed", "one")
    assert not verify(keys, tmp_path / "signed", "two")


def test_sbverify_refuses_it_with_any_section_or_header_changed(keys, file, tmp_path):
    data = whole(sign_by(keys, file))
    offsets = [0x40, file.optional + 16, file.checksum - 1, file.certificate_directory - 1]
    offsets += [section.offset for section in file.sections] + [file.image.size - 1]
    for offset in offsets:
        changed = bytearray(data)
        changed[offset] ^= 1
        (tmp_path / "changed").write_bytes(changed)
        assert not verify(keys, tmp_path / "changed", "one"), offset


def test_openssl_reads_the_signature(keys, file, tmp_path):
    """The structure is complete ASN.1, and the signature is that of the attributes."""
    made = pefile.PE(data=whole(sign_by(keys, file)))
    entry = made.OPTIONAL_HEADER.DATA_DIRECTORY[4]
    assert entry.VirtualAddress % 8 == entry.Size % 8 == 0
    table = made.__data__[entry.VirtualAddress : entry.VirtualAddress + entry.Size]
    (tmp_path / "p7").write_bytes(table[8:])
    said = ask("openssl", "asn1parse", "-inform", "der", "-in", tmp_path / "p7")
    for text in ("pkcs7-signedData", "1.3.6.1.4.1.311.2.1.15", "messageDigest"):
        assert text in said, said
    assert "signingTime" not in said
    assert "CN=one" in ask("openssl", "pkcs7", "-inform", "der", "-in", tmp_path / "p7", "-print_certs").replace(
        " ", ""
    )
    assert file_digest(file).hex().upper() in said


def test_the_digest_is_that_of_the_rules(file):
    data = whole(file.image)
    at, directory = file.checksum, file.certificate_directory
    kept = data[:at] + data[at + 4 : directory] + data[directory + 8 :]
    assert file_digest(file) == hashlib.sha256(kept).digest()


def test_the_same_key_gives_the_same_bytes_and_the_digest_stays(keys, file):
    one = whole(sign_by(keys, file))
    assert one == whole(sign_by(keys, file))
    again = read_pe(Image.from_bytes(one), "signed")
    assert file_digest(again) == file_digest(file)
    with pytest.raises(UserError, match="signed: is signed already"):
        sign_by(keys, again)


def test_a_signature_that_openssl_made_elsewhere(keys, file, tmp_path):
    (tmp_path / "to_sign").write_bytes(to_sign(file))
    made = ("-sign", keys / "one.key.pem", "-out", tmp_path / "signature", tmp_path / "to_sign")
    ask("openssl", "dgst", "-sha256", *made)
    signature = (tmp_path / "signature").read_bytes()
    assert whole(signed(file, signature, read_certificate(str(keys / "one.pem")))) == whole(sign_by(keys, file))
    for wrong in (signature[:-1], b"", bytes(256)):
        with pytest.raises(UserError, match="file: the signature is not one of this file by the key of"):
            signed(file, wrong, read_certificate(str(keys / "one.pem")))
    with pytest.raises(UserError, match="the signature is not one of this file by the key of"):
        signed(file, signature, read_certificate(str(keys / "two.pem")))


def test_refused_keys(keys, file, tmp_path):
    signer = read_certificate(str(keys / "one.pem"))
    make_key(tmp_path, "short", bits=1024)
    ask("openssl", "pkey", "-in", keys / "one.key.pem", "-aes256", "-passout", "pass:x", "-out", tmp_path / "locked")
    for path, message in (
        (keys / "two.key.pem", "two.key.pem: is not the private key of"),
        (keys / "one.pem", "one.pem: is not a private key as PEM"),
        (tmp_path / "locked", "locked: is encrypted"),
        (tmp_path / "none", "none: cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            sign(b"", str(path), signer)
    for path, message in (
        (tmp_path / "short.pem", "short.pem: is not of an RSA key of 2048 bits"),
        (keys / "one.key.pem", "one.key.pem: is not a certificate"),
        (tmp_path / "none", "none: cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            read_certificate(str(path))
