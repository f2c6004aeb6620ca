"""Who may sign updates, and whether one of them did.

The image has the public keys in a folder, as PEM files with one Ed25519 key each (RFC 8410). What stands before the
key in a file is for people (RFC 7468, section 2), but for a line `Expires: 2030-12-31`: after that day, in UTC, the key
is not taken any more. A file `revoked` lists keys that are never taken, by their ids, one a line; `#` starts a comment.
A key's id is the SHA-256 of its SubjectPublicKeyInfo in hex, which is what the PEM file encodes.

A manifest's signatures are lines of text, each with the algorithm, the id of the key and the signature in hex:

    ed25519 89ab… 0123…

One by a key that is trusted is enough. So an update that is signed with an old key and a new one is taken by machines
that know either.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import glob
import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from guestos.errors import GuestError, ImageError

MOST_BYTES = 1 << 14
"""Of a manifest's signatures."""

FOLDER = "update-keys"
REVOKED = "revoked"

_OPENSSL = "/usr/bin/openssl"
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s(.*?)-----END PUBLIC KEY-----", re.DOTALL)
_EXPIRES = re.compile(r"^Expires:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_LINE = re.compile(r"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key.

    Attributes:
        path: of its file.
        id: the SHA-256 of its SubjectPublicKeyInfo, in hex.
        expires: the last day on which it is taken; None where there is none.
    """

    path: str
    id: str
    expires: dt.date | None


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a system trusts, and those that it will not trust again."""

    trusted: Sequence[Key]
    revoked: frozenset[str]


def read_keys(folder: str) -> Keys:
    """Returns the keys in a folder.

    Raises:
        GuestError: a file is not as the module's docstring says. A list of revoked keys that cannot be read is not
            taken for an empty one.
    """
    keys = [_read_key(path) for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.pem")))]
    path = os.path.join(folder, REVOKED)
    lines = _text(path).splitlines() if os.path.exists(path) else []
    revoked = frozenset(word for line in lines if (word := line.partition("#")[0].strip()))
    for word in revoked:
        if not re.fullmatch("[0-9a-f]{64}", word):
            raise GuestError(f"{path}: {word!r} is not the id of a key")
    return Keys(keys, revoked)


def verify(data: bytes, signatures: bytes | None, keys: Keys, today: dt.date) -> Key:
    """Returns the key that one of a manifest's signatures is by.

    Args:
        data: the manifest.
        signatures: the lines of its signatures; None where it has none.
        keys: those of the system.
        today: for keys that expire.

    Raises:
        ImageError: there is no signature by a key that is trusted; the message says what is wrong with the first.
        GuestError: the program that checks them cannot be run.
    """
    if not keys.trusted:
        raise ImageError("this system has no key for updates, so it takes none")
    if signatures is None:
        raise ImageError("the update is not signed")
    lines = signatures.decode("ascii", "replace").splitlines()
    if not lines:
        raise ImageError("the update is not signed")
    problems: list[str] = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            problems.append("the signature is damaged, or of a kind that is not known")
            continue
        found = _check(data, match[1], bytes.fromhex(match[2]), keys, today)
        if isinstance(found, Key):
            return found
        problems.append(found)
    raise ImageError(problems[0])


def _check(data: bytes, key_id: str, signature: bytes, keys: Keys, today: dt.date) -> Key | str:
    """Returns the key of a good signature, or what is wrong."""
    if key_id in keys.revoked:
        return f"the update is signed by a revoked key: {key_id}"
    key = next((key for key in keys.trusted if key.id == key_id), None)
    if key is None:
        return f"the update is signed by a key that this system does not know: {key_id}"
    if key.expires is not None and today > key.expires:
        return f"the update is signed by a key that expired on {key.expires}: {key_id}"
    if not _is_good(data, signature, key.path):
        return f"the signature of the update is wrong: it is not what {key.path} stands for"
    return key


def _is_good(data: bytes, signature: bytes, key: str) -> bool:
    # In memory, since openssl takes files: a signature of Ed25519 is over all of the data at once.
    files = [_memory_file("manifest", data), _memory_file("signature", signature)]
    try:
        manifest, signed = (f"/proc/self/fd/{file}" for file in files)
        command = [
            _OPENSSL,
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            key,
            "-in",
            manifest,
            "-sigfile",
            signed,
        ]
        result = subprocess.run(command, capture_output=True, pass_fds=files, check=False)
    except OSError as error:
        raise GuestError(f"{_OPENSSL}: cannot be run: {error.strerror}") from error
    finally:
        for file in files:
            os.close(file)
    return result.returncode == 0


def _memory_file(name: str, data: bytes) -> int:
    file = os.memfd_create(name)
    os.write(file, data)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _read_key(path: str) -> Key:
    text = _text(path)
    match = _PEM.search(text)
    if match is None:
        raise GuestError(f"{path}: has no public key in PEM format")
    try:
        encoded = base64.b64decode("".join(match[1].split()), validate=True)
        expires = _EXPIRES.search(text[: match.start()])
        last = None if expires is None else dt.date.fromisoformat(expires[1])
    except (binascii.Error, ValueError) as error:
        raise GuestError(f"{path}: is not a key, or expires on no day: {error}") from error
    return Key(path, hashlib.sha256(encoded).hexdigest(), last)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}") from error
