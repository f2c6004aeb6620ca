"""Signatures of an upgrade image's manifest: Ed25519 (RFC 8032), made and checked by openssl.

A file of signatures has one a line: the algorithm, the id of the key, and the signature in hexadecimal digits:

    ed25519 89ab… 0123…

The id of a key is the SHA-256 of its public half as a SubjectPublicKeyInfo (RFC 8410). Ed25519 takes no randomness:
the same key and the same manifest give the same signature.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import UserError

_LINE = re.compile(r"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})")
_PUBLIC_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""How the SubjectPublicKeyInfo of an Ed25519 key begins: RFC 8410, section 4."""
_PUBLIC_SIZE = len(_PUBLIC_PREFIX) + 32


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
    return _id(_openssl("pkey", "-pubin", "-in", path, "-pubout", "-outform", "DER", what=path), path)


def private_key_id(path: str) -> str:
    """Returns the id of the public half of the private key in a PEM file.

    Raises:
        UserError: it is not a private key of Ed25519.
    """
    return _id(_openssl("pkey", "-in", path, "-pubout", "-outform", "DER", what=path), path)


def sign(manifest: str, key: str) -> Signature:
    """Returns the signature of a file by the private key in a PEM file.

    Raises:
        UserError: a file cannot be read, or is no key.
    """
    key_id = private_key_id(key)
    value = _openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", manifest, what=key)
    return Signature(key_id, value)


def is_good(manifest: str, signature: Signature, public_key: str) -> bool:
    """Returns whether a signature is that of a file, by the public key in a PEM file.

    Raises:
        UserError: a file cannot be read, or is no key.
    """
    if public_key_id(public_key) != signature.key_id:
        return False
    with tempfile.TemporaryDirectory(prefix="signature-") as folder:
        path = Path(folder, "signature")
        path.write_bytes(signature.value)
        command = [
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            public_key,
            "-in",
            manifest,
            "-sigfile",
            str(path),
        ]
        return subprocess.run([_program(), *command], capture_output=True, check=False).returncode == 0


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


def _id(public_key: bytes, path: str) -> str:
    if not public_key.startswith(_PUBLIC_PREFIX) or len(public_key) != _PUBLIC_SIZE:
        raise UserError(f"{path}: is not a key of Ed25519; `openssl genpkey -algorithm ed25519` makes one")
    return hashlib.sha256(public_key).hexdigest()


def _openssl(*arguments: str, what: str) -> bytes:
    try:
        result = subprocess.run([_program(), *arguments], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise UserError(f"openssl: cannot be run: {error.strerror}") from error
    if result.returncode != 0:
        said = " ".join(os.fsdecode(result.stderr).split())
        raise UserError(f"{what}: openssl {arguments[0]} refuses it: {said}")
    return result.stdout


def _program() -> str:
    program = shutil.which("openssl")
    if program is None:
        raise UserError("openssl is missing, which signs upgrade images: install it (Debian: openssl)")
    return program
