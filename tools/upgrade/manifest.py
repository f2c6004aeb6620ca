"""The manifest of an upgrade image: product, version, and hashes of the partition images.

It is the first member of the upgrade image, so that a machine can reject the image before it reads the rest, and can
verify each piece of a partition image before it writes it. It is JSON:

    {
      "format": 1,
      "product": "appliance",
      "variant": "dev",
      "architecture": "x86_64",
      "layout": "4567…",
      "version": "1.2.3",
      "rollback_index": 0,
      "trust": "distribution",
      "images": [
        {
          "name": "root.img",
          "size": 3221225472,
          "root_hash": "0123…",
          "piece_size": 1048576,
          "pieces": ["89ab…", …]
        }
      ]
    }

`layout` is the SHA-256 of the disk's partition list from `tools.gpt.listing`, which a machine compares with the list in
its initramfs, or null. A machine refuses a `rollback_index`, from 0 to 2^32 - 1, that is lower than that of a system
that it has confirmed. `trust` is the mode of trust that the images are built for, `distribution` or `own_keys`: which
boot loader starts them. A machine refuses the other mode; a manifest without it is of `distribution`. `size` is in
bytes. `root_hash` is the root hash of the image's dm-verity tree, or null. `pieces` are the SHA-256 of each
`piece_size` bytes of the image; the last piece may be shorter, and holes read as zeros. Hashes are in lower-case
hexadecimal. Images are in the order of the members of the upgrade image.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.image.digest import PIECE_SIZE, piece_digests
from tools.image.extents import Image

FORMAT = 1
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
VERSION_NAME = "VERSION.TXT"
RESERVED_NAMES = frozenset({MANIFEST_NAME, SIGNATURE_NAME, VERSION_NAME})

DISTRIBUTION = "distribution"
OWN_KEYS = "own_keys"
"""Modes of trust: the boot loader of the distribution, or one that starts only what the product's own key signed."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
_MOST_INDEX = (1 << 32) - 1
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """An image in a manifest; see the module's docstring."""

    name: str
    size: int
    root_hash: str | None = None
    piece_size: int = PIECE_SIZE
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest; see the module's docstring."""

    format: int = FORMAT
    product: str
    variant: str
    architecture: str
    layout: str | None = None
    version: str
    rollback_index: int = 0
    trust: str = DISTRIBUTION
    images: tuple[ImageEntry, ...]


def describe_image(name: str, image: Image, root_hash: str | None = None) -> ImageEntry:
    """Returns the manifest entry for an image; reads and hashes its data."""
    pieces = tuple(digest.hex() for digest in piece_digests(image))
    return ImageEntry(name=name, size=image.size, root_hash=root_hash, pieces=pieces)


def check(manifest: Manifest) -> None:
    """Checks the values of a manifest.

    Raises:
        UserError: the format is not supported, or a machine would reject a value.
    """
    _check_values(manifest)
    seen = set(RESERVED_NAMES)
    for image in manifest.images:
        if not _WORD.fullmatch(image.name) or image.name in seen:
            raise UserError(f"image {image.name!r}: is not a valid name, is reserved, or occurs twice")
        seen.add(image.name)
        if image.piece_size <= 0 or len(image.pieces) != -(-image.size // image.piece_size):
            raise UserError(f"image {image.name}: {len(image.pieces)} hashes don't match {image.size} bytes")
        for digest in image.pieces if image.root_hash is None else (image.root_hash, *image.pieces):
            if not _HASH.fullmatch(digest):
                raise UserError(f"image {image.name}: {digest!r} is not a SHA-256 in lower-case hexadecimal")


def _check_values(manifest: Manifest) -> None:
    """Checks all values but those of the images."""
    if manifest.format != FORMAT:
        raise UserError(f"the manifest has format {manifest.format}; only {FORMAT} is supported")
    for name in ("product", "variant", "architecture", "version"):
        value = getattr(manifest, name)
        if not _WORD.fullmatch(value):
            raise UserError(f"{name}: {value!r} must be letters and digits, and, after the first one, . _ + ~ -")
    if not 0 <= manifest.rollback_index <= _MOST_INDEX:
        raise UserError(f"rollback_index: {manifest.rollback_index} must be a number from 0 to {_MOST_INDEX}")
    if manifest.trust not in (DISTRIBUTION, OWN_KEYS):
        raise UserError(f"trust: {manifest.trust!r} is no mode of trust; give {DISTRIBUTION} or {OWN_KEYS}")
    if manifest.layout is not None and not _HASH.fullmatch(manifest.layout):
        raise UserError(f"layout: {manifest.layout!r} is not a SHA-256 in lower-case hexadecimal")


def encode(manifest: Manifest) -> bytes:
    """Returns the content of the manifest file, which is what is signed.

    Raises:
        UserError: the manifest is invalid; see `check`.
    """
    check(manifest)
    return (json.dumps(dataclasses.asdict(manifest), indent=1) + "\n").encode()
