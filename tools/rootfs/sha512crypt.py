"""The hash of a password in /etc/shadow, by the method `$6$`.

Method: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", version 0.6; crypt(5), "sha512crypt".
"""

from __future__ import annotations

import base64
import hashlib
import re

ROUNDS = 5000
"""The number of rounds where the hash does not name one."""

SALT_CHARACTERS = 16

_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT = re.compile(rf"[./0-9A-Za-z]{{1,{SALT_CHARACTERS}}}")
_DIGEST = hashlib.sha512().digest_size
_GROUPS = 21
"""The 64 bytes of a digest are written as 21 groups of three, and one byte by itself."""


def sha512crypt(password: str, salt: str) -> str:
    """Returns the hash of a password, as it stands in /etc/shadow.

    Args:
        password: in UTF-8.
        salt: 1 to 16 characters of `./0-9A-Za-z`.

    Raises:
        ValueError: the salt has others, or the password holds a NUL.
    """
    if not _SALT.fullmatch(salt):
        raise ValueError(f"{salt!r} is not a salt of 1 to {SALT_CHARACTERS} characters of ./0-9A-Za-z")
    key, salt_bytes = password.encode(), salt.encode()
    if b"\0" in key:
        raise ValueError("a password cannot hold a NUL")
    digest = _first_digest(key, salt_bytes)
    key_sequence = _stretched(hashlib.sha512(key * len(key)).digest(), len(key))
    salt_sequence = _stretched(hashlib.sha512(salt_bytes * (16 + digest[0])).digest(), len(salt_bytes))
    for number in range(ROUNDS):
        # Steps 21.b to 21.g: the order depends on whether the round's number is even, and a multiple of 3 and 7.
        data = key_sequence if number % 2 else digest
        data += salt_sequence if number % 3 else b""
        data += key_sequence if number % 7 else b""
        data += digest if number % 2 else key_sequence
        digest = hashlib.sha512(data).digest()
    return f"$6${salt}${_encoded(digest)}"


def derived_salt(*parts: str) -> str:
    """Returns a salt that is always the same for the same texts, so that a build gives the same bytes again.

    Equal passwords then have equal hashes: this is for passwords that are known anyway, such as those of an image for
    development.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b64encode(digest, altchars=b"./").decode()[:SALT_CHARACTERS]


def _first_digest(key: bytes, salt: bytes) -> bytes:
    """Returns digest A (steps 1 to 12)."""
    other = hashlib.sha512(key + salt + key).digest()  # digest B
    data = key + salt + _stretched(other, len(key))
    bits = len(key)
    while bits:
        data += other if bits & 1 else key
        bits >>= 1
    return hashlib.sha512(data).digest()


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // _DIGEST + 1))[:length]


def _encoded(digest: bytes) -> str:
    """Returns the digest in crypt's own base64 and its own order of bytes (step 22)."""
    text = bytearray()
    for group in range(_GROUPS):
        first, second, third = (digest[group + _GROUPS * ((index + group) % 3)] for index in range(3))
        text += _characters(first << 16 | second << 8 | third, 4)
    return (text + _characters(digest[_DIGEST - 1], 2)).decode()


def _characters(value: int, count: int) -> bytes:
    return bytes(_ALPHABET[value >> 6 * index & 63] for index in range(count))
