"""Reads OCI image layouts: the layers of an image, by their digests.

A layout is a folder with `oci-layout`, `index.json`, and files in `blobs` that are named by their digests: OCI Image
Format Specification 1.1, image-layout.md, image-index.md, manifest.md, config.md and descriptor.md.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Any

from tools.core.errors import UserError
from tools.core.json_spec import read_object

MOST_DOCUMENT_BYTES = 4 << 20
"""Largest size of an index, a manifest or a configuration in bytes; registries, too, limit manifests to 4 MiB."""

_MOST_LAYERS = 1000
_MOST_DEPTH = 8
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LAYERS = re.compile(
    r"application/vnd\.oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+gzip|\+zstd)?"
    r"|application/vnd\.docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.gzip|\.zstd)?"
)
_DIGEST = re.compile("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""Names of architectures in OCI images, which are those of Go, by their names in uname(1)."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer in a layout.

    Attributes:
        path: of its file.
        compressed: whether the file is compressed, by its media type.
        diff_id: digest of the uncompressed tar, such as `sha256:…`.
    """

    path: str
    compressed: bool
    diff_id: str


def read_layout(folder: str, architecture: str) -> list[Blob]:
    """Returns the layers of the image in a layout, lowest first. All digests and sizes are checked, but for `diff_id`.

    Args:
        folder: of the layout.
        architecture: as uname(1) names it; of an index with several images, that for it on Linux is read.

    Raises:
        UserError: there is no layout, or it has no image or several ones for the architecture; it is damaged, or has
            what is no layer of a root file system.
    """
    layout = _Layout(folder)
    layout.check_version()
    manifest, path = layout.manifest(architecture)
    config, config_path = layout.document(_value(manifest, "config", dict, path), path)
    diff_ids = _value(_value(config, "rootfs", dict, config_path), "diff_ids", list, config_path)
    layers = _value(manifest, "layers", list, path)
    if len(layers) != len(diff_ids):
        raise UserError(
            f"{path}: has {len(layers)} layers, and its configuration {len(diff_ids)}; make the layout anew"
        )
    if len(layers) > _MOST_LAYERS:
        raise UserError(f"{path}: has {len(layers)} layers, more than {_MOST_LAYERS}; squash them")
    pairs = zip(layers, diff_ids, strict=True)
    return [layout.layer(layer, _digest(diff_id, config_path), path) for layer, diff_id in pairs]


class _Layout:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._index = os.path.join(folder, "index.json")

    def check_version(self) -> None:
        path = os.path.join(self._folder, "oci-layout")
        if not os.path.isfile(path):
            raise UserError(f"{self._folder}: is no OCI layout, since it has no file oci-layout; give one, or a tar")
        version = _value(_read(path), "imageLayoutVersion", str, path)
        if not version.startswith("1."):
            raise UserError(f"{path}: imageLayoutVersion {version[:20]!r} is not supported; it must be 1.0.0")

    def manifest(self, architecture: str) -> tuple[dict[str, Any], str]:
        """Returns the manifest of the image for an architecture, and its path."""
        document, path = _read(self._index), self._index
        for _ in range(_MOST_DEPTH):
            if "layers" in document:
                return document, path
            document, path = self.document(_choose(document, architecture, path), path)
        raise UserError(f"{self._index}: leads through more than {_MOST_DEPTH} indexes; make the layout anew")

    def layer(self, descriptor: Any, diff_id: str, origin: str) -> Blob:
        media_type = _value(descriptor, "mediaType", str, origin)
        match = _LAYERS.fullmatch(media_type)
        if not match:
            raise UserError(
                f"{origin}: has a layer of type {media_type[:80]!r}, which is no tar; give a container image"
            )
        return Blob(self._blob(descriptor, origin), bool(match[2] or match[4]), diff_id)

    def document(self, descriptor: Any, origin: str) -> tuple[dict[str, Any], str]:
        """Returns the JSON document that a descriptor names, and its path."""
        path = self._blob(descriptor, origin)
        return _read(path), path

    def _blob(self, descriptor: Any, origin: str) -> str:
        """Returns the path of the file that a descriptor names, whose size and digest are right."""
        digest = _digest(_value(descriptor, "digest", str, origin), origin)
        size = _value(descriptor, "size", int, origin)
        path = os.path.join(self._folder, "blobs", *digest.split(":"))
        try:
            found = os.stat(path).st_size
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}; {origin} names it") from error
        if found != size:
            raise UserError(f"{path}: has {found} bytes, not {size} as {origin} says; fetch the image again")
        check_digest(path, digest)
        return path


def check_digest(path: str, digest: str) -> None:
    """Checks the digest of a file.

    Args:
        path: of the file.
        digest: such as `sha256:…`.

    Raises:
        UserError: it is another one, or the file cannot be read.
    """
    algorithm, _, expected = digest.partition(":")
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if found != expected:
        raise UserError(f"{path}: has the digest {algorithm}:{found}, not {expected}; fetch the image again")


def _choose(index: dict[str, Any], architecture: str, path: str) -> dict[str, Any]:
    """Returns the descriptor of an index that is for an architecture; of a single one, its platform may be missing."""
    descriptors = [
        each
        for each in _value(index, "manifests", list, path)
        if _value(each, "mediaType", str, path) in _INDEXES + _MANIFESTS and _platform(each) != "unknown/unknown"
    ]
    wanted = f"linux/{_ARCHITECTURES.get(architecture, architecture)}"
    found = [each for each in descriptors if _platform(each) in (wanted, None)]
    if len(found) == 1:
        return dict(found[0])
    known = ", ".join(sorted({_platform(each) or "an image without a platform" for each in descriptors})) or "no image"
    if not found:
        raise UserError(f"{path}: has no image for {wanted}, but {known}; set architecture, or give another image")
    raise UserError(f"{path}: has {len(found)} images for {wanted}; give a layout with one")


def _platform(descriptor: dict[str, Any]) -> str | None:
    """Returns the platform of a descriptor, such as `linux/amd64`; None if it has none."""
    platform = descriptor.get("platform")
    return f"{platform.get('os')}/{platform.get('architecture')}" if isinstance(platform, dict) else None


def _read(path: str) -> dict[str, Any]:
    if os.path.isfile(path) and (size := os.path.getsize(path)) > MOST_DOCUMENT_BYTES:
        raise UserError(
            f"{path}: has {size} bytes, more than the {MOST_DOCUMENT_BYTES} of any manifest; fetch it again"
        )
    return read_object(path)


def _value(mapping: Any, key: str, kind: type[Any], path: str) -> Any:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if type(value) is not kind:
        name = {dict: "an object", list: "a list", str: "a string", int: "a number"}[kind]
        raise UserError(f"{path}: {key} is missing or not {name}; make the layout anew")
    return value


def _digest(text: Any, path: str) -> str:
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise UserError(f"{path}: has the digest {str(text)[:80]!r}, which is neither sha256 nor sha512 in hexadecimal")
    return text
