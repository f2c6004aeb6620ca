"""Signatures of PE files as UEFI Secure Boot verifies them: Authenticode, with RSA and SHA-256.

See Microsoft's Windows Authenticode Portable Executable Signature Format, and the UEFI specification, section 32.2.4. A
signature is a SignedData of PKCS #7 (RFC 2315) at the end of the file. Its content has the hash of the file; what the
private key signs is a set of attributes with the hash of that content. They have no time, and the padding is that of
PKCS #1 v1.5, so the same key and the same file give the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tools.core.errors import UserError
from tools.image.digest import sha256
from tools.image.extents import Image
from tools.pe import der
from tools.pe.headers import PeFile
from tools.pe.rsa_keys import LEAST_BITS, read_file, read_private_key

_SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
_RSA = der.object_identifier("1.2.840.113549.1.1.1")
_CONTENT_TYPE = der.object_identifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.object_identifier("1.2.840.113549.1.9.4")
_SHA256 = der.object_identifier("2.16.840.1.101.3.4.2.1")
_INDIRECT_DATA = der.object_identifier("1.3.6.1.4.1.311.2.1.4")
_PE_IMAGE_DATA = der.object_identifier("1.3.6.1.4.1.311.2.1.15")

_NULL = der.element(der.NULL)
_SHA256_ALGORITHM = der.sequence(_SHA256, _NULL)
_RSA_ALGORITHM = der.sequence(_RSA, _NULL)

_UNIT = 8
"""Certificates are aligned to this many bytes."""
_CERTIFICATE = struct.Struct("<IHH")  # WIN_CERTIFICATE
_REVISION, _PKCS_SIGNED_DATA = 0x0200, 0x0002


@dataclass(frozen=True, slots=True)
class Signer:
    """The certificate that firmware verifies a signature with."""

    path: str
    certificate: x509.Certificate
    key: rsa.RSAPublicKey


def read_certificate(path: str) -> Signer:
    """Returns the certificate in a PEM file.

    Raises:
        UserError: it is not a certificate of an RSA key that firmware accepts.
    """
    try:
        certificate = x509.load_pem_x509_certificate(read_file(path))
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path}: is not a certificate (X.509) as PEM: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_BITS:
        raise UserError(f"{path}: is not of an RSA key of {LEAST_BITS} bits or more, which is what firmware accepts")
    return Signer(path, certificate, key)


def file_digest(file: PeFile) -> bytes:
    """Returns the hash of a PE file that firmware compares: of all but its checksum, and its signatures."""
    end = file.certificates[0] or file.image.size
    bounds = [0, file.checksum, file.checksum + 4, file.certificate_directory, file.certificate_directory + 8, end]
    parts, size = [], 0
    for begin, stop in zip(bounds[::2], bounds[1::2], strict=True):
        parts.append((size, file.image.slice(begin, stop - begin)))
        size += stop - begin
    return sha256(Image.compose(size, parts))


def to_sign(file: PeFile) -> bytes:
    """Returns what a private key signs, by RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017): the set of attributes."""
    content_digest = hashlib.sha256(b"".join(_content_values(file_digest(file)))).digest()
    return der.set_of(
        der.sequence(_CONTENT_TYPE, der.set_of(_INDIRECT_DATA)),
        der.sequence(_MESSAGE_DIGEST, der.set_of(der.element(der.OCTET_STRING, content_digest))),
    )


def sign(data: bytes, path: str, signer: Signer) -> bytes:
    """Returns the signature of what `to_sign` returns.

    Args:
        data: what to sign.
        path: of the private key, a PEM file.
        signer: its certificate.

    Raises:
        UserError: it is not a private key of RSA, or not that of the certificate.
    """
    return read_private_key(path, signer.key, signer.path).sign(data, padding.PKCS1v15(), hashes.SHA256())


def signed(file: PeFile, signature: bytes, signer: Signer) -> Image:
    """Returns a PE file with a signature.

    Args:
        file: the file, which has none.
        signature: of what `to_sign` returns.
        signer: the certificate of the key that made it.

    Raises:
        UserError: the signature is not that of the file by this key, or the file has one already.
    """
    if file.certificates[1]:
        raise UserError(f"{file.name}: is signed already")
    try:
        signer.key.verify(signature, to_sign(file), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise UserError(f"{file.name}: the signature is not one of this file by the key of {signer.path}") from error
    message = _signed_data(file, signature, signer)
    entry = _CERTIFICATE.pack(_CERTIFICATE.size + len(message), _REVISION, _PKCS_SIGNED_DATA) + message
    entry += bytes(-len(entry) % _UNIT)
    begin = file.image.size
    if begin % _UNIT:
        raise UserError(f"{file.name}: has {begin} bytes, which is not a multiple of {_UNIT}")
    directory = struct.pack("<II", begin, len(entry))
    at = file.certificate_directory
    after = at + len(directory)
    parts = [(0, file.image.slice(0, at)), (at, Image.from_bytes(directory))]
    parts += [(after, file.image.slice(after, begin - after)), (begin, Image.from_bytes(entry))]
    return Image.compose(begin + len(entry), parts)


def _content_values(digest: bytes) -> list[bytes]:
    """Returns the elements of SpcIndirectDataContent: the kind of the file, and its hash."""
    # The link to the file is obsolete, but has to be there: a string that is empty.
    link = der.tagged(0, der.tagged(2, der.tagged(0, constructed=False)))
    data = der.sequence(der.element(der.BIT_STRING, b"\0"), link)
    return [
        der.sequence(_PE_IMAGE_DATA, data),
        der.sequence(_SHA256_ALGORITHM, der.element(der.OCTET_STRING, digest)),
    ]


def _signed_data(file: PeFile, signature: bytes, signer: Signer) -> bytes:
    """Returns the ContentInfo with the SignedData, as RFC 2315 has it."""
    certificate = signer.certificate
    issuer = der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))
    attributes = to_sign(file)
    signer_info = der.sequence(
        der.integer(1),
        issuer,
        _SHA256_ALGORITHM,
        b"\xa0" + attributes[1:],  # [0] in place of the tag of the set
        _RSA_ALGORITHM,
        der.element(der.OCTET_STRING, signature),
    )
    content = der.sequence(_INDIRECT_DATA, der.tagged(0, der.sequence(*_content_values(file_digest(file)))))
    data = der.sequence(
        der.integer(1),
        der.set_of(_SHA256_ALGORITHM),
        content,
        der.tagged(0, certificate.public_bytes(Encoding.DER)),
        der.set_of(signer_info),
    )
    return der.sequence(_SIGNED_DATA, der.tagged(0, data))
