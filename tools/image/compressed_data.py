"""Compressed data that an action made, and another takes over; without what compresses it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from tools.image.extents import Image
from tools.image.recipe_reader import is_recipe, open_recipe


class CompressedData(NamedTuple):
    """A compressed stream.

    Attributes:
        stream: its bytes.
        path: of its file, for messages.
    """

    stream: Image
    path: str


def open_compressed(path: str | os.PathLike[str], sources: Sequence[str | os.PathLike[str]] = ()) -> CompressedData:
    """Opens a compressed file, or a recipe of one.

    Args:
        path: of the file.
        sources: what the recipe was made with, in the same order; see `recipe`.

    Raises:
        UserError: it cannot be read, or sources are not those of the recipe, or there is none.
    """
    name = os.fspath(path)
    if sources or is_recipe(path):
        return CompressedData(open_recipe(path, sources), name)
    return CompressedData(Image.from_file(path), name)
