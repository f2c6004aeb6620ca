"""The outputs of the GuestOS `dev`, and clients that build them from this repository."""

from __future__ import annotations

_PACKAGE = "ic-os/guestos/dev"
IMAGES = [
    f"{_PACKAGE}/{image}{suffix}{digest}"
    for image in ("disk-img.tar", "update-img.tar")
    for suffix in ("", ".gz", ".zst")
    for digest in ("", ".sha256")
]
"""Paths of all files of a release, in the directory of outputs."""

TARGETS = [f"//{_PACKAGE}:{path.rpartition('/')[2]}" for path in IMAGES]
