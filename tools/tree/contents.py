"""Reads files of a tree whole, if they are small."""

from __future__ import annotations

from tools.core.errors import UserError
from tools.tree.node import File

_MOST = 64 << 20


def read_small(file: File, path: str) -> bytes:
    """Returns the content of a file; an image may have files whose holes are larger than any memory.

    Args:
        file: the file.
        path: its path in the tree, for messages.

    Raises:
        UserError: it has more than 64 MiB.
    """
    if file.content.size > _MOST:
        raise UserError(
            f"{path}: has {file.content.size} bytes in the image, but it is read only up to {_MOST >> 20} MiB; "
            "make it smaller"
        )
    return file.content.read(0, file.content.size)
