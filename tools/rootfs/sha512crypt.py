"""The hash of a password in /etc/shadow, by the method `$6$`: crypt(5), "sha512crypt"."""

from __future__ import annotations

import base64
import hashlib

_ROUNDS = 5000
"""The number of rounds where the hash does not name one."""

_SALT_CHARACTERS = 16


def sha512crypt(password: str, salt: str) -> str:
    """Returns the hash of a password, as it stands in /etc/shadow.

    Args:
        password: in UTF-8.
        salt: 1 to 16 characters of `./0-9A-Za-z`.

    Raises:
        ValueError: the salt has others, or the password holds a NUL or is longer than 4096 bytes.
    """
    # Every image would be built later, and only those with passwords need it.
    from passlib.hash import sha512_crypt  # type: ignore[import-untyped]  # noqa: PLC0415

    if not salt:
        raise ValueError("the salt is empty")
    return str(sha512_crypt.using(salt=salt, rounds=_ROUNDS).hash(password))


def derived_salt(*parts: str) -> str:
    """Returns a salt that is always the same for the same texts, so that a build gives the same bytes again.

    Equal passwords then have equal hashes: this is for passwords that are known anyway, such as those of an image for
    development.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b64encode(digest, altchars=b"./").decode()[:_SALT_CHARACTERS]
