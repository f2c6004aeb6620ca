"""Verifies the OpenPGP signatures of archives (RFC 9580) with gpgv, as apt does."""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
import tempfile
from pathlib import Path

from tools.core.errors import CheckError, UserError

_BLOCK = re.compile(
    r"^-----BEGIN PGP PUBLIC KEY BLOCK-----\s*\n(?:[^\n]*: [^\n]*\n)*\s*\n"
    r"([A-Za-z0-9+/=\s]+?)(?:\n=[A-Za-z0-9+/]{4})?\s*\n"
    r"-----END PGP PUBLIC KEY BLOCK-----",
    re.MULTILINE,
)
_REJECTED = ("BADSIG", "REVKEYSIG")


def binary_keys(keyring: Path) -> bytes:
    """Returns the keys of an ASCII-armoured file (RFC 9580, section 6) in binary form, which gpgv reads.

    Raises:
        UserError: the file can't be read, or has no armoured keys.
    """
    try:
        blocks = _BLOCK.findall(keyring.read_text(encoding="utf-8"))
        keys = b"".join(base64.b64decode("".join(block.split()), validate=True) for block in blocks)
    except OSError as error:
        raise UserError(f"{keyring}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, binascii.Error) as error:
        raise UserError(f"{keyring}: isn't a valid file of ASCII-armoured keys: {error}") from error
    if not keys:
        raise UserError(f"{keyring}: has no ASCII-armoured public keys")
    return keys


def signed_text(file: Path, keyring: Path, detached: Path | None = None) -> str:
    """Returns the signed text of a file; text outside of the signed part is left out.

    At least one key of the keyring must have signed it. Signatures by other keys are ignored, since archives sign with
    the keys of several releases. So are those that have expired, or whose key has (EXPSIG, EXPKEYSIG).

    Args:
        file: a clear-signed file, or the signed file if the signature is detached.
        keyring: file with ASCII-armoured keys.
        detached: file with the detached signature.

    Raises:
        CheckError: no key of the keyring signed it, or a signature is wrong.
        UserError: gpgv isn't installed, or a file can't be read.
    """
    keys = binary_keys(keyring)
    for each in (file, *([detached] if detached else [])):
        if not os.access(each, os.R_OK):
            raise UserError(f"{each}: does not exist or cannot be read")
    with tempfile.TemporaryDirectory() as scratch:
        binary, text = Path(scratch, "keys.gpg"), Path(scratch, "text")
        binary.write_bytes(keys)
        command = ["gpgv", "--homedir", scratch, "--status-fd", "1", "--keyring", str(binary)]
        command += [str(detached.absolute()), str(file.absolute())] if detached else [
            "--output", str(text), str(file.absolute())
        ]  # fmt: skip
        states = _states(command)
        if "GOODSIG" not in states or any(state in states for state in _REJECTED):
            raise CheckError(
                f"{file}: is not signed by a key of {keyring}: it was changed, the key has expired, or the archive "
                "has a new one "
                f"({', '.join(state for state in states if 'SIG' in state or 'PUBKEY' in state) or 'no signature'})"
            )
        return (file if detached else text).read_text(encoding="utf-8", errors="replace")


def _states(command: list[str]) -> list[str]:
    """Runs gpgv; returns the keywords of its status lines (doc/DETAILS of GnuPG)."""
    try:
        result = subprocess.run(command, capture_output=True, check=False, env={"PATH": os.environ.get("PATH", "")})
    except FileNotFoundError as error:
        raise UserError("gpgv isn't installed; on Debian and Ubuntu it's in the package gpgv") from error
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    return [line.split()[1] for line in lines if line.startswith("[GNUPG:] ")]
