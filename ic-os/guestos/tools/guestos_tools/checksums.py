"""SHA256SUMS of a folder, and its signatures.

`SHA256SUMS` has what sha256sum(1) writes, sorted by name. Its first line may be a comment, `# REVISION/FOLDER`: where
it is published. Several folders have files of the same names, so a signature without that would be good for the variant
dev in the place of prod, and for an old revision in the place of a new one.

`SHA256SUMS.sig` has the signatures of `SHA256SUMS`, one a line, in the format of tools/upgrade/signing.py: Ed25519 (RFC
8032). A key that signs files of checksums should sign nothing else.

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
_PLACE = re.compile(r"# ([0-9a-f]{40}/[^\n\r]+)")


def write_sums(folder: Path, names: Iterable[str], place: str = "") -> Path:
    """Writes SHA256SUMS of files of a folder; returns its path. Signatures of an earlier one are removed.

    Args:
        folder: of the files.
        names: of the files in it.
        place: where they are published, `REVISION/FOLDER`; empty if they are not.

    Raises:
        UserError: a file cannot be read, or its name has a slash, a backslash or a line break.
    """
    lines = [f"# {place}\n"] if place else []
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


def check_place(text: str, url: str) -> None:
    """Checks that checksums are those of the folder that they came from.

    Args:
        text: content of a SHA256SUMS whose signature has been verified.
        url: of the folder.

    Raises:
        CheckError: they are of another folder, or don't say of which.
    """
    match = _PLACE.fullmatch(text.partition("\n")[0])
    if match is None:
        raise CheckError(f"{url}/{SUMS}: has no first line '# REVISION/FOLDER', so its signature is for no folder")
    if not url.endswith(f"/{match[1]}"):
        raise CheckError(f"{url}/{SUMS}: was signed as that of {match[1]}, and not of this folder")


def _signing(library: Callable[[], Iterable[str]]) -> ModuleType:
    """Returns tools.upgrade.signing, after making its library importable."""
    if importlib.util.find_spec(_LIBRARY) is None:
        sys.path += library()
    return importlib.import_module("tools.upgrade.signing")
