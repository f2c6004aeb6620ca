"""Which layer of its root tree each path of an image is from, in a file that `image_layers` writes."""

from __future__ import annotations

from collections.abc import Mapping

from tools.core.errors import UserError
from tools.core.json_file import read_json

Layers = Mapping[str, Mapping[str, str]]
"""For each partition or member, or for an empty name, labels of targets by the paths that they brought."""


def read_layers(path: str) -> Layers:
    """Returns the layers in a file.

    Raises:
        UserError: the file can't be read, or has another form.
    """
    document = read_json(path)
    try:
        return {
            place: {name: layer.lstrip("@") for layer, names in layers.items() for name in names}
            for place, layers in document.items()
        }
    except (AttributeError, TypeError) as error:
        raise UserError(f"{path}: is not a file of image_layers; leave out --layers") from error
