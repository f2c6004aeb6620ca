"""SHA256SUMS of a folder, and its signatures.

`SHA256SUMS` has what sha256sum(1) writes, sorted by name. `SHA256SUMS.sig` has its signatures, one a line, in the
format of tools/upgrade/signing.py: Ed25519 (RFC 8032). A key that signs files of checksums should sign nothing else.

The signing library is imported when it is needed: scripts that run without it unpack its locked wheels first.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

from guestos_tools.download import sha256_of
from tools.core.errors import CheckError, UserError
from tools.core.outputs import replacing, write_all

SUMS = "SHA256SUMS"
SIGNATURES = f"{SUMS}.sig"

_LIBRARY = "cryptography"
_NAME = re.compile(r"[^/\\\n\r]+")


def write_sums(folder: Path, names: Iterable[str]) -> Path:
    """Writes SHA256SUMS of files of a folder; returns its path. Signatures of an earlier one are removed.

    Args:
        folder: of the files.
        names: of the files in it.

    Raises:
        UserError: a file cannot be read, or its name has a slash, a backslash or a line break.
    """
    lines = []
    for name in sorted(set(names)):
        if not _NAME.fullmatch(name):
            raise UserError(f"{folder}: {name!r}: a name in {SUMS} must not have slashes, backslashes or line breaks")
        try:
            lines.append(f"{sha256_of(folder / name)}  {name}\n")
        except OSError as error:
            raise UserError(f"{folder / name}: cannot be read: {error.strerror}") from error
    (folder / SIGNATURES).unlink(missing_ok=True)
    with replacing(folder / SUMS) as fd:
        write_all(fd, "".join(lines).encode())
    return folder / SUMS


def sign_sums(sums: Path, private_keys: Sequence[Path], library: Callable[[], Iterable[str]] = tuple) -> Path:
    """Writes the signatures of a file of checksums beside it, under its name with `.sig`; returns their path.

    Args:
        sums: the file of checksums.
        private_keys: Ed25519 keys in PEM files, at least one.
        library: returns the folders to import the signing library from where it is not installed.

    Raises:
        UserError: there is no key, or a file cannot be read or is no key.
    """
    if not private_keys:
        raise UserError(f"{sums}: there is no key to sign it with; give a private key of Ed25519")
    signing = _signing(library)
    data = signing.encode([signing.sign(str(sums), str(key)) for key in private_keys])
    signatures = sums.with_name(f"{sums.name}.sig")
    with replacing(signatures) as fd:
        write_all(fd, data)
    return signatures


def verify_sums(
    sums: Path,
    signatures: Path,
    public_keys: Sequence[Path],
    origin: str = "",
    library: Callable[[], Iterable[str]] = tuple,
) -> None:
    """Verifies that one of the public keys signed a file of checksums.

    Args:
        sums: the file of checksums.
        signatures: the file of its signatures.
        public_keys: Ed25519 keys in PEM files, any of which may have signed.
        origin: where the file came from, for the message; by default, its path.
        library: returns the folders to import the signing library from where it is not installed.

    Raises:
        CheckError: none of the keys signed these checksums.
        UserError: a file cannot be read, is no key, or has a line that is no signature.
    """
    signing = _signing(library)
    found = signing.decode(str(signatures))
    if any(signing.is_good(str(sums), signature, str(key)) for signature in found for key in public_keys):
        return
    trusted = ", ".join(map(str, public_keys)) or "no key"
    raise CheckError(
        f"{origin or sums}: is not signed by a trusted key ({trusted}); the file was changed, or another key "
        "signed it: get the public key from whoever publishes these files"
    )


def _signing(library: Callable[[], Iterable[str]]) -> ModuleType:
    """Returns tools.upgrade.signing, after making its library importable."""
    if importlib.util.find_spec(_LIBRARY) is None:
        sys.path += library()
    return importlib.import_module("tools.upgrade.signing")
