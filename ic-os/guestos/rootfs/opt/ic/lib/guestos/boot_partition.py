"""Reads the version and the root hash that a boot partition contains, and checks them."""

from __future__ import annotations

import subprocess

from guestos import grubenv
from guestos.errors import GuestError, ImageError
from guestos.manifest import Manifest

_DEBUGFS = "/usr/sbin/debugfs"
_SECONDS = 60
_ROOT_HASH = "dfinity.root_hash="


def check(device: str, manifest: Manifest) -> None:
    """Checks that a boot partition has the version and the root hash of a manifest.

    Args:
        device: path of the partition.
        manifest: of the update image that was written.

    Raises:
        ImageError: the version or the root hash differs, or a file that has them is missing or damaged.
        GuestError: debugfs cannot be run.
    """
    version = _read(device, "version.txt").decode(errors="replace").strip()
    if version != manifest.version:
        raise ImageError(f"boot.img has version {version!r}, but the manifest has {manifest.version!r}")
    try:
        arguments = grubenv.parse(_read(device, "extra_boot_args")).get("extra_boot_args", "").split()
    except GuestError as error:
        raise ImageError(f"boot.img: extra_boot_args: {error}") from error
    hashes = [word.removeprefix(_ROOT_HASH) for word in arguments if word.startswith(_ROOT_HASH)]
    if hashes != [manifest.root.root_hash]:
        raise ImageError(
            f"boot.img expects the root hash {' '.join(hashes) or '(none)'}, but root.img has {manifest.root.root_hash}"
        )


def _read(device: str, name: str) -> bytes:
    # debugfs instead of a mount: it writes nothing, and a damaged file system cannot harm the kernel.
    command = [_DEBUGFS, "-R", f"cat /{name}", device]
    try:
        result = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GuestError(f"{_DEBUGFS}: cannot be run: {error}") from error
    if not result.stdout:
        said = " ".join(result.stderr.decode(errors="replace").split())
        raise ImageError(f"boot.img: /{name} cannot be read: {said}")
    return result.stdout
