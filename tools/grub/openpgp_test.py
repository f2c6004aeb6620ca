import hashlib
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tools.core.errors import UserError
from tools.grub.openpgp import detached_signature, key_id, public_key, sign, to_sign
from tools.image.extents import Image
from tools.testing.oracles import ask
from tools.testing.uefi_files import make_certificate

FILE = Image.from_bytes(b"a file\n" * 100000)
USER = b"\xb4\x04test"


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return [make_certificate(tmp_path_factory.mktemp("keys"), name, 3072)[0] for name in ("key", "other")]


@pytest.fixture(scope="module")
def keys(paths):
    return [load_pem_private_key(path.read_bytes(), None) for path in paths]


def user_of(key):
    """Returns the packets of a user id and of its signature by the key, which gpgv needs, and GRUB does not."""
    head = bytes.fromhex("04130108 0009 0502 00000001 021b03")
    data = public_key(key.public_key()) + USER[:1] + struct.pack(">I", 4) + USER[2:]
    data += head + b"\x04\xff" + struct.pack(">I", len(head))
    body = head + b"\0\x0a\x09\x10" + key_id(key.public_key()) + hashlib.sha256(data).digest()[:2]
    signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    body += struct.pack(">H", int.from_bytes(signature, "big").bit_length()) + signature.lstrip(b"\0")
    return USER + b"\x89" + struct.pack(">H", len(body)) + body


def test_gpgv_accepts_the_signature_and_no_other(keys, tmp_path):
    public = keys[0].public_key()
    (tmp_path / "key").write_bytes(public_key(public) + user_of(keys[0]))
    (tmp_path / "file").write_bytes(FILE.read(0, FILE.size))
    (tmp_path / "file.sig").write_bytes(detached_signature(FILE, sign(FILE, keys[0]), public, "file"))
    verify = ("gpgv", "--status-fd=1", f"--keyring={tmp_path / 'key'}", tmp_path / "file.sig", tmp_path / "file")
    assert f"[GNUPG:] GOODSIG {key_id(public).hex().upper()} test" in ask(*verify)
    (tmp_path / "file").write_bytes(FILE.read(0, FILE.size - 1))
    assert "[GNUPG:] BADSIG" in ask(*verify, check=False)


def test_openssl_makes_the_same_signature(paths, keys, tmp_path):
    (tmp_path / "to_sign").write_bytes(b"".join(to_sign(FILE)))
    ask("openssl", "dgst", "-sha256", "-sign", paths[0], "-out", tmp_path / "signature", tmp_path / "to_sign")
    signature = (tmp_path / "signature").read_bytes()
    assert signature == sign(FILE, keys[0])
    assert detached_signature(FILE, signature, keys[0].public_key(), "file")


def test_holes_are_signed_as_the_zeros_that_a_file_has(keys):
    with_holes = Image.compose(3 << 20, [(1 << 20, FILE)])
    dense = Image.from_bytes(with_holes.read(0, with_holes.size))
    assert b"".join(to_sign(with_holes)) == b"".join(to_sign(dense))
    assert sign(with_holes, keys[0]) == sign(dense, keys[0])


def test_a_signature_of_another_file_or_key_is_refused(keys):
    for content, key in ((Image.from_bytes(b"another"), keys[0]), (FILE, keys[1])):
        with pytest.raises(UserError, match=r"^file: the signature for the boot loader is not one of this file"):
            detached_signature(FILE, sign(content, key), keys[0].public_key(), "file")
