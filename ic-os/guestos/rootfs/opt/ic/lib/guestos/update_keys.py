"""Reads the public keys by which a system takes updates, or bootstrap media.

The image has a directory of PEM files, each with one Ed25519 public key (RFC 8410). Outside of the key, which is
between its BEGIN and END lines, a file may have

* empty lines, and lines that start with `#`, which are comments;
* before the key, once, a header `Expires: 2030-12-31`: after that day, in UTC, the key is not accepted.

Any other line is an error, so that a misspelt header does not make a key that never expires. The file `revoked` lists
the ids of keys that are never accepted, one per line; `#` starts a comment. A key's id is the SHA-256, in hex, of its
SubjectPublicKeyInfo, the structure that the PEM file encodes.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import glob
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from guestos.errors import GuestError

FOLDER = "update-keys"
REVOKED = "revoked"

_BEGIN = "-----BEGIN PUBLIC KEY-----"
_END = "-----END PUBLIC KEY-----"
_EXPIRES = re.compile(r"Expires:[ \t]*([0-9]{4}-[0-9]{2}-[0-9]{2})[ \t]*")
_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""The beginning of the SubjectPublicKeyInfo of every Ed25519 key (RFC 8410, section 4)."""
_KEY_LENGTH = len(_ED25519) + 32


@dataclass(frozen=True, slots=True)
class Key:
    """A public key.

    Attributes:
        path: of its file.
        id: the SHA-256 of its SubjectPublicKeyInfo, in hex.
        expires: the last day on which it is accepted, in UTC; None if it does not expire.
    """

    path: str
    id: str
    expires: dt.date | None


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a system.

    Attributes:
        trusted: the keys in its directory.
        revoked: ids of keys that are never accepted, even if they are in the directory.
    """

    trusted: Sequence[Key]
    revoked: frozenset[str]


@dataclass(frozen=True, slots=True)
class Trust:
    """What signatures are verified with.

    Attributes:
        keys: the keys of the system.
        today: the date that expiry dates are compared with, in UTC; from `dates.today`.
    """

    keys: Keys
    today: dt.date


def read_keys(folder: str) -> Keys:
    """Returns the keys in a directory.

    Raises:
        GuestError: a key or the list of revoked keys is invalid or cannot be read.
    """
    keys = [read_key(path) for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.pem")))]
    path = os.path.join(folder, REVOKED)
    lines = _lines(path) if os.path.exists(path) else []
    revoked = frozenset(word for line in lines if (word := line.partition("#")[0].strip()))
    for word in revoked:
        if not re.fullmatch("[0-9a-f]{64}", word):
            raise GuestError(f"{path}: {word!r} is not the id of a key")
    return Keys(keys, revoked)


def read_key(path: str) -> Key:
    """Returns the key in a PEM file.

    Raises:
        GuestError: the file cannot be read, or a line of it is none of those that the module's docstring lists.
    """
    expires: dt.date | None = None
    encoded: list[str] | None = None
    inside = False
    for number, line in enumerate(_lines(path), 1):
        where = f"{path}: line {number}"
        if inside:
            inside = line != _END
            if inside and encoded is not None:
                encoded.append(line)
        elif line == _BEGIN and encoded is None:
            encoded, inside = [], True
        elif line.strip() and not line.startswith("#"):
            if encoded is not None:
                raise GuestError(f"{where}: has {line!r} after the key; one key a file, and comments start with #")
            if expires is not None:
                raise GuestError(f"{where}: has {line!r} after the expiry date; only the key may follow")
            expires = _expiry(line, where)
    if encoded is None or inside:
        raise GuestError(f"{path}: has no complete public key in PEM format")
    return Key(path, hashlib.sha256(_decode("".join(encoded), path)).hexdigest(), expires)


def _expiry(line: str, where: str) -> dt.date:
    match = _EXPIRES.fullmatch(line)
    if match is None:
        raise GuestError(f"{where}: {line!r} is not `Expires: YYYY-MM-DD`, the only header; comments start with #")
    try:
        return dt.date.fromisoformat(match[1])
    except ValueError as error:
        raise GuestError(f"{where}: {match[1]} is not a date: {error}") from error


def _decode(text: str, path: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise GuestError(f"{path}: the public key is not valid base64: {error}") from error
    if not data.startswith(_ED25519) or len(data) != _KEY_LENGTH:
        raise GuestError(f"{path}: is not a public key of Ed25519")
    return data


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return [line.rstrip("\r") for line in file.read().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}") from error
