"""The manifest of an update image, as this machine takes it.

It is the first member of the update image, and what the signature is for. The format is described where it is written,
in tools/upgrade/manifest.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from guestos.errors import ImageError

FORMAT = 1
NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
VERSION_NAME = "VERSION.TXT"
BOOT, ROOT = "boot.img", "root.img"

PIECE_SIZE = 1 << 20
MOST_BYTES = 4 << 20
"""Of a manifest: that of images of 50 GiB."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
_HASH = re.compile(r"[0-9a-f]{64}")
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a partition.

    Attributes:
        name: boot.img or root.img.
        size: in bytes.
        root_hash: the root hash of its integrity tree, in hex; None where it has none.
        pieces: the SHA-256 of each PIECE_SIZE bytes; the last one may be of fewer.
    """

    name: str
    size: int
    root_hash: str | None
    pieces: tuple[bytes, ...]

    def length(self, index: int) -> int:
        """Returns the length of a piece, in bytes."""
        return min(PIECE_SIZE, self.size - index * PIECE_SIZE)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an update image is.

    Attributes:
        product, variant, architecture: what it is for.
        layout: the SHA-256 of the layout of the disks that it is for, as the initial RAM file system knows it.
        version: of the system in it.
        boot: the boot partition.
        root: the root partition.
        digest: the SHA-256 of the manifest's bytes, in hex, which tells update images apart.
    """

    product: str
    variant: str
    architecture: str
    layout: str | None
    version: str
    boot: Image
    root: Image
    digest: str


def parse(data: bytes) -> Manifest:
    """Returns the manifest in the bytes of its file.

    Raises:
        ImageError: they are not a manifest of the format that is known here.
    """
    try:
        values = json.loads(data)
        if values["format"] != FORMAT:
            raise ImageError(f"{NAME}: has format {values['format']!r}; this system knows {FORMAT}")
        words = [_word(values, name) for name in ("product", "variant", "architecture", "version")]
        boot, root = (_image(each) for each in values["images"])
        layout = None if values["layout"] is None else _digest(values["layout"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ImageError(f"{NAME}: is not a manifest: {error!r}") from error
    if (boot.name, root.name) != (BOOT, ROOT):
        raise ImageError(f"{NAME}: is for {boot.name} and {root.name}, not for {BOOT} and {ROOT}")
    if root.root_hash is None:
        raise ImageError(f"{NAME}: has no root hash for {ROOT}")
    product, variant, architecture, version = words
    digest = hashlib.sha256(data).hexdigest()
    return Manifest(product, variant, architecture, layout, version, boot, root, digest)


def _word(values: dict[str, Any], name: str) -> str:
    value = values[name]
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError(f"{name} is {value!r}")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError(f"{value!r} is not a SHA-256 in lower-case hexadecimal")
    return value


def _image(values: dict[str, Any]) -> Image:
    name, size, pieces = _word(values, "name"), values["size"], values["pieces"]
    if type(size) is not int or size < PIECE_SIZE or size % _SECTOR:
        raise ValueError(f"{name} has {size!r} bytes")
    if values["piece_size"] != PIECE_SIZE or len(pieces) != -(-size // PIECE_SIZE):
        raise ValueError(f"the pieces of {name} do not match its size")
    root_hash = None if values["root_hash"] is None else _digest(values["root_hash"])
    return Image(name, size, root_hash, tuple(bytes.fromhex(_digest(piece)) for piece in pieces))
