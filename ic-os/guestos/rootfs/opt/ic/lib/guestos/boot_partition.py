"""What a boot partition says of itself: its version, and the root that its kernel will open."""

from __future__ import annotations

import subprocess

from guestos import grubenv
from guestos.errors import GuestError, ImageError
from guestos.manifest import Manifest

_DEBUGFS = "/usr/sbin/debugfs"
_SECONDS = 60
_ROOT_HASH = "dfinity.root_hash="


def check(device: str, manifest: Manifest) -> None:
    """Checks that a boot partition is of the manifest's version, and for its root.

    Raises:
        ImageError: it is not.
        GuestError: it cannot be looked into.
    """
    version = _read(device, "version.txt").decode(errors="replace").strip()
    if version != manifest.version:
        raise ImageError(f"boot.img is of version {version!r}, and root.img of {manifest.version!r}")
    try:
        arguments = grubenv.parse(_read(device, "extra_boot_args")).get("extra_boot_args", "").split()
    except GuestError as error:
        raise ImageError(f"boot.img: extra_boot_args: {error}") from error
    hashes = [word.removeprefix(_ROOT_HASH) for word in arguments if word.startswith(_ROOT_HASH)]
    if hashes != [manifest.root.root_hash]:
        raise ImageError(f"boot.img starts a root with the hash {' '.join(hashes)}, and root.img has another")


def _read(device: str, name: str) -> bytes:
    # Not mounted: nothing is written, and the kernel is kept away from a file system that may be anything.
    command = [_DEBUGFS, "-R", f"cat /{name}", device]
    try:
        result = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GuestError(f"{_DEBUGFS}: cannot be run: {error}") from error
    if not result.stdout:
        said = " ".join(result.stderr.decode(errors="replace").split())
        raise ImageError(f"boot.img: /{name} cannot be read: {said}")
    return result.stdout
