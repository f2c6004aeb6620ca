"""Reads the version, the root hash and the rollback index that a boot partition contains, and checks them.

What the boot loader starts there depends on the mode of trust: in DISTRIBUTION a kernel, with arguments of the file
`extra_boot_args`; in OWN_KEYS the unified kernel image `uki.efi`, which has its arguments in it.
"""

from __future__ import annotations

import subprocess
import threading

from guestos import grubenv, unified_kernel_image
from guestos.boot_state import DAMAGED, FALLBACK, FIRST_BOOT, STABLE
from guestos.booted import OWN_KEYS
from guestos.errors import GuestError, ImageError
from guestos.manifest import Manifest

_DEBUGFS = "/usr/sbin/debugfs"
_SECONDS = 60
_MOST = 4 << 20
"""Most bytes of a file that are read: in an image the command line comes before kernel and initramfs."""
_REASONS = (STABLE, FIRST_BOOT, FALLBACK, DAMAGED)
_ROOT_HASH = "dfinity.root_hash="
_ROLLBACK_INDEX = "dfinity.rollback_index="


def check(device: str, manifest: Manifest, trust: str) -> None:
    """Checks that a boot partition has what the boot loader starts, with the version and the root hash of a manifest.

    Args:
        device: path of the partition.
        manifest: of the update image that was written.
        trust: the mode of trust of this machine, DISTRIBUTION or OWN_KEYS.

    Raises:
        ImageError: a value differs, or a file that has them is missing or damaged.
        GuestError: debugfs cannot be run.
    """
    version = _read(device, "version.txt").decode(errors="replace").strip()
    if version != manifest.version:
        raise ImageError(f"boot.img has version {version!r}, but the manifest has {manifest.version!r}")
    arguments = _image_arguments(device) if trust == OWN_KEYS else _extra_arguments(device)
    hashes = _values(arguments, _ROOT_HASH)
    if hashes != [manifest.root.root_hash]:
        raise ImageError(
            f"boot.img expects the root hash {' '.join(hashes) or '(none)'}, but root.img has {manifest.root.root_hash}"
        )
    indexes = _values(arguments, _ROLLBACK_INDEX)
    if trust == OWN_KEYS and indexes != [str(manifest.rollback_index)]:
        raise ImageError(
            f"boot.img has the rollback index {' '.join(indexes) or '(none)'}, but the manifest has "
            f"{manifest.rollback_index}"
        )


def _values(arguments: list[str], name: str) -> list[str]:
    return [word.removeprefix(name) for word in arguments if word.startswith(name)]


def _extra_arguments(device: str) -> list[str]:
    try:
        return grubenv.parse(_read(device, "extra_boot_args")).get("extra_boot_args", "").split()
    except GuestError as error:
        raise ImageError(f"boot.img: extra_boot_args: {error}") from error


def _image_arguments(device: str) -> list[str]:
    # The boot loader starts the image by the path of the boot reason.
    found = {_read(device, f"{reason}/uki.efi") for reason in _REASONS if _read(device, f"{reason}/uki.efi.sig")}
    if len(found) > 1:
        raise ImageError(f"boot.img: uki.efi is not the same file in {', '.join(_REASONS)}")
    try:
        return unified_kernel_image.arguments(found.pop())
    except ImageError as error:
        raise ImageError(f"boot.img: uki.efi: {error}") from error


def _read(device: str, name: str) -> bytes:
    # debugfs instead of a mount: it writes nothing, and a damaged file system cannot harm the kernel.
    command = [_DEBUGFS, "-R", f"cat /{name}", device]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise GuestError(f"{_DEBUGFS}: cannot be run: {error}") from error
    assert process.stdout is not None
    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    try:
        data = process.stdout.read(_MOST)
        process.stdout.close()  # it does not write the rest
        process.stdout = None
        _, said = process.communicate()
        timely = timer.is_alive()
    finally:
        timer.cancel()
    if not timely:
        raise GuestError(f"{_DEBUGFS}: reading /{name} of {device} takes more than {_SECONDS} s")
    if not data:
        raise ImageError(f"boot.img: /{name} cannot be read: {' '.join(said.decode(errors='replace').split())}")
    return data
