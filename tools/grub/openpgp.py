"""Public keys and detached signatures as GRUB's module pgp reads them: OpenPGP, with RSA and SHA-256.

See RFC 4880, sections 4.2 (packets), 5.2.3 (signatures) and 5.5.2 (public keys). A key is named by the hash of its
packet, which has a time. Here it is always the same time, so the same key and the same file give the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tools.core.errors import UserError
from tools.image.extents import Image

_CHUNK = 1 << 20
_PUBLIC_KEY, _SIGNATURE = 6, 2
_VERSION, _BINARY_DOCUMENT, _RSA, _SHA256 = 4, 0, 1, 8
_CREATED, _ISSUER = 2, 16
_TIME = 1
"""Seconds since 1970 at which all keys and signatures are said to be made; 0 means that a time is not known."""


def public_key(key: rsa.RSAPublicKey) -> bytes:
    """Returns the packet of a public key."""
    return _packet(_PUBLIC_KEY, _key_body(key))


def key_id(key: rsa.RSAPublicKey) -> bytes:
    """Returns the 8 bytes by which signatures name their key."""
    body = _key_body(key)
    return hashlib.sha1(b"\x99" + struct.pack(">H", len(body)) + body, usedforsecurity=False).digest()[-8:]


def to_sign(content: Image) -> Iterable[bytes]:
    """Yields the parts of what a private key signs, by RSASSA-PKCS1-v1_5 with SHA-256: the file and a trailer."""
    for offset in range(0, content.size, _CHUNK):
        yield content.read(offset, min(_CHUNK, content.size - offset))
    head = _signature_head()
    yield head + struct.pack(">BBI", _VERSION, 0xFF, len(head))


def sign(content: Image, key: rsa.RSAPrivateKey) -> bytes:
    """Returns the signature of what `to_sign` yields."""
    return key.sign(_digest(content), padding.PKCS1v15(), Prehashed(hashes.SHA256()))


def detached_signature(content: Image, signature: bytes, key: rsa.RSAPublicKey, name: str) -> bytes:
    """Returns the file that GRUB reads beside a signed one.

    Args:
        content: the signed file.
        signature: of what `to_sign` yields.
        key: the public key that verifies it.
        name: what the file is, for messages.

    Raises:
        UserError: the signature is not one of this file by this key.
    """
    digest = _digest(content)
    try:
        key.verify(signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    except InvalidSignature as error:
        raise UserError(f"{name}: the signature for the boot loader is not one of this file by this key") from error
    issuer = _subpacket(_ISSUER, key_id(key))
    number = _integer(int.from_bytes(signature, "big"))
    return _packet(_SIGNATURE, _signature_head() + struct.pack(">H", len(issuer)) + issuer + digest[:2] + number)


def _digest(content: Image) -> bytes:
    digest = hashlib.sha256()
    for part in to_sign(content):
        digest.update(part)
    return digest.digest()


def _signature_head() -> bytes:
    """Returns the part of a signature that is signed with the file."""
    created = _subpacket(_CREATED, struct.pack(">I", _TIME))
    return struct.pack(">BBBBH", _VERSION, _BINARY_DOCUMENT, _RSA, _SHA256, len(created)) + created


def _key_body(key: rsa.RSAPublicKey) -> bytes:
    numbers = key.public_numbers()
    return struct.pack(">BIB", _VERSION, _TIME, _RSA) + _integer(numbers.n) + _integer(numbers.e)


def _packet(tag: int, body: bytes) -> bytes:
    return struct.pack(">BH", 0x81 | tag << 2, len(body)) + body


def _subpacket(kind: int, body: bytes) -> bytes:
    return struct.pack(">BB", 1 + len(body), kind) + body


def _integer(value: int) -> bytes:
    return struct.pack(">H", value.bit_length()) + value.to_bytes((value.bit_length() + 7) // 8, "big")
