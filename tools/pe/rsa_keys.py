"""RSA keys in PEM files."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tools.core.errors import UserError

LEAST_BITS = 2048
"""Least size of a key that firmware and TPMs accept."""
_MOST_SIGNATURE = 1 << 12
"""Most bytes of a signature by a private key."""


def public_key(data: bytes, path: str) -> rsa.RSAPublicKey:
    """Returns the public key in a text as PEM.

    Args:
        data: the text.
        path: where it is from, for messages.

    Raises:
        UserError: it is not a public key of RSA with LEAST_BITS or more.
    """
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(
            f"{path}: is not a public key as PEM, as `openssl pkey -in KEY.pem -pubout` prints it"
        ) from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_BITS:
        raise UserError(f"{path}: is not a public key of RSA with {LEAST_BITS} bits or more")
    return key


def read_private_key(path: str, public: rsa.RSAPublicKey, public_path: str) -> rsa.RSAPrivateKey:
    """Returns the private key in a PEM file.

    Args:
        path: of the file.
        public: its public key.
        public_path: where that is from, for messages.

    Raises:
        UserError: it is not a private key of RSA, or not that of the public key.
    """
    try:
        key = load_pem_private_key(read_file(path), password=None)
    except TypeError as error:  # how the library reports that a password is needed
        raise UserError(f"{path}: is encrypted; `openssl pkey -in {path}` decrypts it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path}: is not a private key as PEM") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != public:
        raise UserError(f"{path}: is not the private key of {public_path}")
    return key


def read_signature(path: str) -> bytes:
    """Returns the content of a file with a signature that was made elsewhere.

    Raises:
        UserError: it cannot be read, or is too large.
    """
    data = read_file(path)
    if len(data) > _MOST_SIGNATURE:
        raise UserError(f"{path}: has {len(data)} bytes; a signature by RSA has as many as the key, such as 256")
    return data


def read_file(path: str) -> bytes:
    """Returns the content of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
