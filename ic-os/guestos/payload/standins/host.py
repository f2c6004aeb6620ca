"""The connection to the host, and the HSM that it attaches."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from standins.problems import StandInError

_PROGRAMS = ("vsock_guest", "vsock_agent")
_SECONDS = 30
_SIGN = ("--slot", "0", "--pin", "358138", "--sign", "--id", "01", "--mechanism", "ECDSA")
"""The PIN that the HSMs of nodes have by default."""

_MESSAGE = b"stand-in registration"


def tell_host(binaries: Path, *arguments: str) -> bool:
    """Runs the program for the connection to the host, if there is one; returns whether it succeeded.

    Args:
        binaries: folder with the programs of the release.
        *arguments: of the program.
    """
    for name in _PROGRAMS:
        program = binaries / name
        if os.access(program, os.X_OK):
            return _output([str(program), *arguments]) is not None
    return False


def signer(keys: Sequence[Path], binaries: Path) -> str:
    """Returns what signs the registration: a key in a file, or the HSM.

    Args:
        keys: files that may exist, the preferred one first.
        binaries: folder with the programs of the release.

    Raises:
        StandInError: there is none of them.
    """
    for path in keys:
        # A file in a folder of another account counts as missing, for which Path.is_file raises an exception.
        if os.path.isfile(path):
            try:
                path.read_bytes()
            except OSError as error:
                raise StandInError(f"{path}: {error.strerror}") from error
            return path.name
    tool = shutil.which("pkcs11-tool")
    if tool is None:
        raise StandInError(
            f"nothing can sign the registration: there is none of {', '.join(map(str, keys))}, and no pkcs11-tool"
        )
    tell_host(binaries, "--attach-hsm")
    try:
        if not _output([tool, "--read-object", "--slot", "0", "--type", "pubkey", "--id", "01"]):
            raise StandInError("nothing can sign the registration: pkcs11-tool finds no key")
        if not _output([tool, *_SIGN], hashlib.sha256(_MESSAGE).digest()):
            raise StandInError("nothing can sign the registration: pkcs11-tool does not sign")
    finally:
        tell_host(binaries, "--detach-hsm")
    return "HSM"


def _output(command: Sequence[str], data: bytes = b"") -> bytes | None:
    """Returns what a program writes for an input; None if it fails."""
    try:
        result = subprocess.run(command, input=data, capture_output=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None
