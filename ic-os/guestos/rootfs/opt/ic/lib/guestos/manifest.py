"""Parses the manifest of an update image.

The manifest is the first member of the update image; the signatures sign its bytes. The module that writes it,
tools/upgrade/manifest.py, describes the format.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from guestos import booted, rollback
from guestos.errors import ImageError

FORMAT = 1
NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
VERSION_NAME = "VERSION.TXT"
BOOT, ROOT = "boot.img", "root.img"

PIECE_SIZE = 1 << 20
MOST_BYTES = 4 << 20
"""The largest manifest that is accepted, in bytes; enough for images of 50 GiB."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
_HASH = re.compile(r"[0-9a-f]{64}")
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Image:
    """The image of a partition.

    Attributes:
        name: boot.img or root.img.
        size: in bytes.
        root_hash: the root hash of its hash tree, in hex; None if it has no hash tree.
        pieces: the SHA-256 of each piece; a piece has PIECE_SIZE bytes, but the last one may have fewer.
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
    """The content of a manifest.

    Attributes:
        product, variant, architecture: of the machines that the update is for.
        layout: the SHA-256 of the layout of their disks, in the form that the initramfs has; None if not given.
        version: of the system in the update.
        rollback_index: of the system in the update; 0 if the manifest has none.
        trust: the mode of trust that it is built for, as in `booted`; DISTRIBUTION if the manifest has none.
        boot: the boot partition.
        root: the root partition.
        digest: the SHA-256 of the manifest's bytes, in hex, which identifies the update image.
        content: the manifest's bytes.
    """

    product: str
    variant: str
    architecture: str
    layout: str | None
    version: str
    rollback_index: int
    trust: str
    boot: Image
    root: Image
    digest: str
    content: bytes = field(repr=False)


def parse(data: bytes) -> Manifest:
    """Returns the manifest that a file contains.

    Args:
        data: the content of the file.

    Raises:
        ImageError: it is not a manifest, or has another format version.
    """
    try:
        values = json.loads(data)
        if values["format"] != FORMAT:
            raise ImageError(f"{NAME}: has format {values['format']!r}; this system supports {FORMAT}")
        words = [_word(values, name) for name in ("product", "variant", "architecture", "version")]
        boot, root = (_image(each) for each in values["images"])
        index = _index(values.get("rollback_index", 0))
        trust = _word({"trust": booted.DISTRIBUTION} | values, "trust")
        layout = None if values["layout"] is None else _digest(values["layout"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ImageError(f"{NAME}: is not a manifest: {error!r}") from error
    if (boot.name, root.name) != (BOOT, ROOT):
        raise ImageError(f"{NAME}: lists {boot.name} and {root.name}, not {BOOT} and {ROOT}")
    if root.root_hash is None:
        raise ImageError(f"{NAME}: has no root hash for {ROOT}")
    product, variant, architecture, version = words
    digest = hashlib.sha256(data).hexdigest()
    return Manifest(product, variant, architecture, layout, version, index, trust, boot, root, digest, data)


def _word(values: dict[str, Any], name: str) -> str:
    value = values[name]
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError(f"{name} is {value!r}")
    return value


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= rollback.MOST:
        raise ValueError(f"rollback_index is {value!r}")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError(f"{value!r} is not a SHA-256 in lower-case hexadecimal")
    return value


def _image(values: dict[str, Any]) -> Image:
    name, size, pieces = _word(values, "name"), values["size"], values["pieces"]
    if type(size) is not int or size < PIECE_SIZE or size % _SECTOR:
        raise ValueError(f"{name} has an invalid size of {size!r} bytes")
    if values["piece_size"] != PIECE_SIZE or len(pieces) != -(-size // PIECE_SIZE):
        raise ValueError(f"the pieces of {name} do not match its size")
    root_hash = None if values["root_hash"] is None else _digest(values["root_hash"])
    return Image(name, size, root_hash, tuple(bytes.fromhex(_digest(piece)) for piece in pieces))
