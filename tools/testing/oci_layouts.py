"""Makes OCI image layouts, for tests. Only the standard library and zstandard are used, nothing of `tools.oci`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def layer(*lines: str) -> bytes:
    """Returns a tar.

    Args:
        lines: `path/` or `path/ 1777` for a directory, `path -> target` for a symbolic link, `path => target` for a
            hard link, `path = content` for a file.
    """
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for line in lines:
            path, _, rest = line.partition(" ")
            sign, _, value = rest.partition(" ")
            member = tarfile.TarInfo(path.rstrip("/"))
            if path.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, int(rest or "755", 8)
            elif sign in ("->", "=>"):
                member.type, member.linkname = tarfile.SYMTYPE if sign == "->" else tarfile.LNKTYPE, value
            else:
                member.size = len(value.encode())
            tar.addfile(member, io.BytesIO(value.encode()) if member.size else None)
    return output.getvalue()


def add_blob(folder: Path, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Writes a blob of a layout; returns its descriptor."""
    digest = hashlib.sha256(content).hexdigest()
    path = folder / "blobs/sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content), **more}


def add_document(folder: Path, document: Mapping[str, Any], media_type: str, **more: Any) -> dict[str, Any]:
    """Writes a JSON document as a blob of a layout; returns its descriptor."""
    return add_blob(folder, json.dumps(document).encode(), media_type, **more)


def add_image(folder: Path, layers: Sequence[bytes], architecture: str = "amd64") -> dict[str, Any]:
    """Writes an image into a layout; its layers are compressed in turn by gzip, zstd and not at all.

    Returns:
        The descriptor of its manifest.
    """
    compressed = []
    for number, tar in enumerate(layers):
        data, suffix = (
            (gzip.compress(tar, mtime=0), "+gzip"),
            (zstandard.compress(tar), "+zstd"),
            (tar, ""),
        )[number % 3]
        compressed.append(add_blob(folder, data, _LAYER + suffix))
    diff_ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in layers]
    platform = {"architecture": architecture, "os": "linux"}
    config = platform | {"config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": add_document(folder, config, _CONFIG),
        "layers": compressed,
    }
    return add_document(folder, manifest, MANIFEST, platform=platform)


def write_layout(folder: Path, *images: Mapping[str, Any]) -> Path:
    """Writes the files of a layout besides its blobs; returns its folder.

    Args:
        folder: of the layout.
        images: descriptors that the index lists.
    """
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(images)}))
    return folder


if __name__ == "__main__":
    place = Path(sys.argv[1])
    write_layout(
        place,
        add_image(
            place, [layer("oci/ 750", "oci/kept = kept", "oci/gone = gone"), layer("oci/.wh.gone =", "oci/new = new")]
        ),
    )
