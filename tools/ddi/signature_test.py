import base64
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.ddi.signature import pkcs7_signature, read_root_hash, signature_partition, to_sign
from tools.pe.authenticode import read_certificate, sign
from tools.testing.oracles import ask
from tools.testing.uefi_files import make_certificate

ROOT_HASH = "c00a7d6832d4fcbaf0770f531383e552aa4ba01f549b4bb894564c1f74ba907d"
KIB = 1 << 10


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Paths of a private key and its certificate."""
    return make_certificate(tmp_path_factory.mktemp("keys"), "verity")


def message_of(keys, root_hash):
    signer = read_certificate(str(keys[1]))
    return pkcs7_signature(root_hash, sign(to_sign(root_hash), str(keys[0]), signer), signer)


def test_signature_has_the_bytes_of_openssl(keys, tmp_path):
    """PKCS7_sign() with the flags that systemd-repart gives it."""
    (tmp_path / "hash").write_text(ROOT_HASH)
    words = ["-binary", "-noattr", "-md", "sha256", "-in", tmp_path / "hash", "-inkey", keys[0], "-signer", keys[1]]
    ask("openssl", "smime", "-sign", *words, "-outform", "DER", "-out", tmp_path / "theirs")
    assert message_of(keys, ROOT_HASH) == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("form", ["cms", "smime"])
def test_openssl_verifies_it(keys, tmp_path, form):
    (tmp_path / "hash").write_text(ROOT_HASH)
    (tmp_path / "p7s").write_bytes(message_of(keys, ROOT_HASH))
    words = ["-verify", "-binary", "-inform", "DER", "-in", tmp_path / "p7s", "-CAfile", keys[1], "-purpose", "any"]
    said = ask("openssl", form, *words, "-content", tmp_path / "hash")
    assert said.startswith(ROOT_HASH)
    (tmp_path / "hash").write_text(ROOT_HASH.replace("c", "d"))
    assert "erification failure" in ask("openssl", form, *words, "-content", tmp_path / "hash", check=False)


def test_signature_has_no_attributes(keys, tmp_path):
    """So that what is signed is the root hash itself."""
    (tmp_path / "p7s").write_bytes(message_of(keys, ROOT_HASH))
    said = ask("openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", tmp_path / "p7s")
    assert "eContent: <ABSENT>" in said
    assert re.search(r"signedAttrs:\s+<ABSENT>", said)
    assert re.search(r"unsignedAttrs:\s+<ABSENT>", said)


def test_fingerprint_is_that_of_openssl(keys):
    signer = read_certificate(str(keys[1]))
    image = signature_partition(ROOT_HASH, b"signature", signer, 16 * KIB)
    fields = json.loads(image.read(0, image.size).rstrip(b"\0"))
    said = ask("openssl", "x509", "-in", keys[1], "-noout", "-fingerprint", "-sha256")
    assert said.strip().partition("=")[2].replace(":", "").lower() == fields["certificateFingerprint"]


@given(number=st.binary(min_size=32, max_size=32), units=st.integers(1, 1024))
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_partition_is_json_and_nul_bytes(keys, number, units):
    root_hash, size = number.hex(), units * 4 * KIB
    message = message_of(keys, root_hash)
    image = signature_partition(root_hash, message, read_certificate(str(keys[1])), size)
    content = image.read(0, image.size)
    assert len(content) == size
    text, nul, rest = content.partition(b"\0")
    assert nul
    assert not rest.strip(b"\0")
    assert text.startswith(b'{"rootHash":"%s","certificateFingerprint":"' % root_hash.encode())
    assert b" " not in text
    assert b"\n" not in text
    fields = json.loads(text)
    assert list(fields) == ["rootHash", "certificateFingerprint", "signature"]
    assert base64.b64decode(fields["signature"], validate=True) == message


@pytest.mark.parametrize("size", [0, 4 * KIB + 512, (4 << 20) + 4096])
def test_sizes_that_systemd_does_not_read(keys, size):
    with pytest.raises(UserError, match=f"{size} bytes are not a multiple of 4096 up to 4194304"):
        signature_partition(ROOT_HASH, b"signature", read_certificate(str(keys[1])), size)


def test_size_that_is_too_small(keys):
    signer = read_certificate(str(keys[1]))
    bare = len(
        json.dumps({"rootHash": 64 * "0", "certificateFingerprint": 64 * "0", "signature": ""}, separators=(",", ":"))
    )
    # The longest signature that leaves room for one NUL, as base64 of whole groups.
    most = (4 * KIB - 1 - bare) // 4 * 3
    assert signature_partition(ROOT_HASH, bytes(most), signer, 4 * KIB).read(4 * KIB - 1, 1) == b"\0"
    with pytest.raises(
        UserError, match="4096 bytes are too few for the signature and its certificate; set at least 8192"
    ):
        signature_partition(ROOT_HASH, bytes(most + 3), signer, 4 * KIB)


def test_signature_of_something_else(keys):
    signer = read_certificate(str(keys[1]))
    signature = sign(b"other", str(keys[0]), signer)
    with pytest.raises(UserError, match=f"not one of the root hash {ROOT_HASH} by the key of .*verity.pem"):
        pkcs7_signature(ROOT_HASH, signature, signer)


@pytest.mark.parametrize("text", ["", ROOT_HASH[:-1], ROOT_HASH.upper(), f"{ROOT_HASH} {ROOT_HASH}", "\N{SNOWMAN}"])
def test_file_that_has_no_root_hash(tmp_path, text):
    (tmp_path / "hash").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="hash: is not a root hash, which has 64 lowercase hexadecimal digits"):
        read_root_hash(str(tmp_path / "hash"))
