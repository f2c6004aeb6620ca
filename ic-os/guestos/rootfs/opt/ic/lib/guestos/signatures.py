"""Verifies signatures: of the manifest of an update, or of a bootstrap archive.

The signatures are lines of text, each with the algorithm, the id of the key and the signature in hex:

    ed25519 89ab… 0123…

One signature by a trusted key is sufficient. So machines that trust either of two keys accept an update that is signed
by both, which is how keys are rotated.
"""

from __future__ import annotations

import os
import re
import subprocess

from guestos.errors import GuestError, ImageError
from guestos.update_keys import Key, Trust

MOST_BYTES = 1 << 14
"""The largest file of signatures that is accepted, in bytes."""

_OPENSSL = "/usr/bin/openssl"
LINE = re.compile(r"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})")
"""A line of a file of signatures."""


def verify(data: bytes, signatures: bytes | None, trust: Trust, what: str = "update") -> Key:
    """Verifies the signatures of data and returns the trusted key of the first valid one.

    Args:
        data: what is signed.
        signatures: the file of its signatures; None if there is none.
        trust: what they are verified with.
        what: what the data is part of, for messages.

    Raises:
        ImageError: no signature by a trusted key is valid; the message is about the first signature.
        GuestError: openssl cannot be run.
    """
    if not trust.keys.trusted:
        raise ImageError(f"this system has no {what} keys, so it accepts no {what}")
    if signatures is None:
        raise ImageError(f"the {what} is not signed")
    lines = signatures.decode("ascii", "replace").splitlines()
    if not lines:
        raise ImageError(f"the {what} is not signed")
    problems: list[str] = []
    for line in lines:
        match = LINE.fullmatch(line)
        if match is None:
            problems.append("the signature is damaged, or its algorithm is not supported")
            continue
        found = _check(data, match[1], bytes.fromhex(match[2]), trust, what)
        if isinstance(found, Key):
            return found
        problems.append(found)
    raise ImageError(problems[0])


def _check(data: bytes, key_id: str, signature: bytes, trust: Trust, what: str) -> Key | str:
    """Returns the key if the signature is valid and the key trusted, else a message that says what is wrong."""
    if key_id in trust.keys.revoked:
        return f"the {what} is signed by a revoked key: {key_id}"
    key = next((key for key in trust.keys.trusted if key.id == key_id), None)
    if key is None:
        return f"the {what} is signed by a key that this system does not trust: {key_id}"
    if key.expires is not None and trust.today > key.expires:
        return f"the {what} is signed by a key that expired on {key.expires}: {key_id}"
    if not _is_valid(data, signature, key.path):
        return f"the signature of the {what} is invalid: it does not match what was signed and {key.path}"
    return key


def _is_valid(data: bytes, signature: bytes, key: str) -> bool:
    # openssl reads both from files; these are in memory, so that nothing can change them.
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
