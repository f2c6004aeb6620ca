"""Signatures of an upgrade image's manifest: Ed25519 (RFC 8032).

A file of signatures has one a line: the algorithm, the id of the key, and the signature in hexadecimal digits:

    ed25519 89ab… 0123…

The id of a key is the SHA-256 of its public half as a SubjectPublicKeyInfo (RFC 8410). Ed25519 takes no randomness:
the same key and the same manifest give the same signature.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tools.core.errors import UserError

_LINE = re.compile(r"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})")
_HOW_TO_MAKE_ONE = "`openssl genpkey -algorithm ed25519` makes one"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature.

    Attributes:
        key_id: the id of the key, in hexadecimal digits.
        value: 64 bytes.
    """

    key_id: str
    value: bytes


def public_key_id(path: str) -> str:
    """Returns the id of the key in a PEM file.

    Raises:
        UserError: it is not a public key of Ed25519.
    """
    return _id(_public_key(path))


def private_key_id(path: str) -> str:
    """Returns the id of the public half of the private key in a PEM file.

    Raises:
        UserError: it is not a private key of Ed25519.
    """
    return _id(_private_key(path).public_key())


def sign(manifest: str, key: str) -> Signature:
    """Returns the signature of a file by the private key in a PEM file.

    Raises:
        UserError: a file cannot be read, or is no key.
    """
    private_key = _private_key(key)
    return Signature(_id(private_key.public_key()), private_key.sign(_read(manifest)))


def is_good(manifest: str, signature: Signature, public_key: str) -> bool:
    """Returns whether a signature is that of a file, by the public key in a PEM file.

    Raises:
        UserError: a file cannot be read, or is no key.
    """
    key = _public_key(public_key)
    if _id(key) != signature.key_id:
        return False
    try:
        key.verify(signature.value, _read(manifest))
    except InvalidSignature:
        return False
    return True


def encode(signatures: list[Signature]) -> bytes:
    """Returns the content of a file of signatures."""
    return "".join(f"ed25519 {each.key_id} {each.value.hex()}\n" for each in signatures).encode()


def decode(path: str) -> list[Signature]:
    """Returns the signatures in a file.

    Raises:
        UserError: a line is not one.
    """
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    signatures = []
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise UserError(f"{path}: line {number} is not a signature: ed25519, the key's id, the signature in hex")
        signatures.append(Signature(match[1], bytes.fromhex(match[2])))
    return signatures


def _id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _private_key(path: str) -> Ed25519PrivateKey:
    data = _read(path)
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:  # how the library reports that a password is needed
        raise UserError(f"{path}: is encrypted; `openssl pkey -in {path}` decrypts it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path}: is not a private key as PEM; {_HOW_TO_MAKE_ONE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path}: is not a key of Ed25519; {_HOW_TO_MAKE_ONE}")
    return key


def _public_key(path: str) -> Ed25519PublicKey:
    data = _read(path)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path}: is not a public key as PEM; `openssl pkey -in PRIVATE -pubout` prints one") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(f"{path}: is not a key of Ed25519; {_HOW_TO_MAKE_ONE}")
    return key


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
