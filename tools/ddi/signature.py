"""Describes verity signature partitions: a root hash and its signature, by which systemd opens a dm-verity volume.

The content is a JSON object, padded with NUL bytes: Discoverable Partitions Specification, section "Verity",
https://uapi-group.org/specifications/specs/discoverable_partitions_specification/#verity. The signature is a SignedData
of PKCS #7 (RFC 2315) without the data and without attributes, so that what the private key signs is the root hash as
text. Linux verifies that (drivers/md/dm-verity-verify-sig.c), and the bytes are those that systemd-repart makes: the
padding is that of PKCS #1 v1.5, so the same key and the same root hash give the same signature.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.pe import der
from tools.pe.authenticode import Signer
from tools.pe.rsa_keys import read_file

SIZE_UNIT = 4096
"""The size of the partition is a multiple of this many bytes."""

_MOST_SIZE = 4 << 20
"""The largest partition that systemd reads (src/shared/dissect-image.c)."""

_DATA = der.object_identifier("1.2.840.113549.1.7.1")
_SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
_NULL = der.element(der.NULL)
_RSA_ALGORITHM = der.sequence(der.object_identifier("1.2.840.113549.1.1.1"), _NULL)
_SHA256_ALGORITHM = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), _NULL)


def read_root_hash(path: str) -> str:
    """Returns the root hash in a file, as 64 lowercase hexadecimal digits.

    Raises:
        UserError: the file cannot be read, or has no such hash.
    """
    text = read_file(path).strip().decode("ascii", "replace")
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise UserError(f"{path}: is not a root hash, which has 64 lowercase hexadecimal digits")
    return text


def to_sign(root_hash: str) -> bytes:
    """Returns what a private key signs, by RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017)."""
    return root_hash.encode()


def pkcs7_signature(root_hash: str, signature: bytes, signer: Signer) -> bytes:
    """Returns the signature of a root hash as PKCS #7, with the certificate, in DER.

    Args:
        root_hash: hexadecimal digits.
        signature: of what `to_sign` returns.
        signer: the certificate of the key that made it.

    Raises:
        UserError: the signature is not that of the root hash by this key.
    """
    try:
        signer.key.verify(signature, to_sign(root_hash), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise UserError(f"the signature is not one of the root hash {root_hash} by the key of {signer.path}") from error
    certificate = signer.certificate
    signer_info = der.sequence(
        der.integer(1),
        der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number)),
        _SHA256_ALGORITHM,
        _RSA_ALGORITHM,
        der.element(der.OCTET_STRING, signature),
    )
    data = der.sequence(
        der.integer(1),
        der.set_of(_SHA256_ALGORITHM),
        der.sequence(_DATA),
        der.tagged(0, certificate.public_bytes(Encoding.DER)),
        der.set_of(signer_info),
    )
    return der.sequence(_SIGNED_DATA, der.tagged(0, data))


def signature_partition(root_hash: str, pkcs7: bytes, signer: Signer, size: int) -> Image:
    """Returns the content of a verity signature partition.

    Args:
        root_hash: hexadecimal digits.
        pkcs7: its signature, from `pkcs7_signature`.
        signer: the certificate of the key that signed.
        size: of the partition, in bytes.

    Raises:
        UserError: the size is not one of such a partition, or too small.
    """
    if size % SIZE_UNIT or not 0 < size <= _MOST_SIZE:
        raise UserError(f"{size} bytes are not a multiple of {SIZE_UNIT} up to {_MOST_SIZE}, which systemd reads")
    fields = {
        "rootHash": root_hash,
        "certificateFingerprint": hashlib.sha256(signer.certificate.public_bytes(Encoding.DER)).hexdigest(),
        "signature": base64.b64encode(pkcs7).decode(),
    }
    text = json.dumps(fields, separators=(",", ":")).encode()
    # One NUL at least stands after the text, as in systemd-repart.
    if len(text) >= size:
        least = -(-(len(text) + 1) // SIZE_UNIT) * SIZE_UNIT
        raise UserError(f"{size} bytes are too few for the signature and its certificate; set at least {least}")
    return Image.from_bytes(text).resized(size)
