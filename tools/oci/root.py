"""The root tree of an OCI image."""

from __future__ import annotations

import os

from tools.core.errors import UserError
from tools.image.decompression import decompress
from tools.oci.changes import apply_changes
from tools.oci.layout import Blob, check_digest, read_layout
from tools.tree.layer import Layer
from tools.tree.node import Directory
from tools.tree.tar_reader import read_archive


def read_root(folder: str, architecture: str, scratch: str, most: int) -> Directory:
    """Returns the root tree of the image in an OCI layout; contents are ranges of its layers.

    Args:
        folder: of the layout.
        architecture: as uname(1) names it.
        scratch: folder for decompressed layers, which has to stay while the tree is in use.
        most: largest size of all layers together, decompressed, in bytes.

    Raises:
        UserError: as for `read_layout` and `read_archive`; or a layer has not the content that the configuration says,
            or the layers are larger than `most`.
    """
    tree = Layer.empty(folder)
    for number, blob in enumerate(read_layout(folder, architecture)):
        path = _tar(blob, os.path.join(scratch, f"{number}.tar"), most)
        most -= os.path.getsize(path)
        if most < 0:
            raise UserError(f"{folder}: its layers have more bytes than --max_size; make that larger")
        apply_changes(tree, read_archive(path, blob.path))
    return tree.root


def _tar(blob: Blob, place: str, most: int) -> str:
    """Returns the path of a layer's tar, which is written to `place` if the layer is compressed."""
    path = blob.path
    if blob.compressed:
        try:
            decompress(path, place, most)
        except UserError as error:
            raise UserError(f"{error}; if it is intact and that large, make --max_size larger") from error
        path = place
    try:
        check_digest(path, blob.diff_id)
    except UserError as error:
        raise UserError(f"{blob.path}: is not the layer that the image's configuration names: {error}") from error
    return path
