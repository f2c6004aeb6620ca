"""Opens members of tar archives, raw files and recipes as images, without extracting them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tools.core.errors import UserError
from tools.image.extents import Image, InputFile
from tools.image.rawfile import open_raw
from tools.image.recipe_reader import is_recipe, open_recipe
from tools.tar import header
from tools.tar.reader import check_not_compressed, read_members


def open_member(path: str | os.PathLike[str], name: str | None = None) -> Image:
    """Opens a file in a tar archive as an image; its extents are ranges of the archive.

    The extents of a sparse member are the ranges of its sparse map, so that its map and data are the same in another
    archive.

    Args:
        path: the archive, not compressed.
        name: name of the member; None if the archive must have exactly one file.

    Raises:
        UserError: the file is not a tar archive, is compressed, damaged or truncated, or has no such member.
    """
    found: Image | None = None
    names: list[str] = []
    for member in read_members(path):
        if member.content is not None:
            names.append(member.name.decode(errors="backslashreplace"))
            if name is None or names[-1] == name:
                found = member.content
    if name is None and len(names) != 1:
        raise UserError(f"{os.fspath(path)}: has {len(names)} files; an archive with exactly one file is needed")
    if found is None:
        raise UserError(f"{os.fspath(path)}: has no file {name!r}; it has {', '.join(names) or 'none'}")
    return found


def open_image(path: str | os.PathLike[str], sources: Sequence[str | os.PathLike[str]] = ()) -> Image:
    """Opens the single file in a tar archive, or a raw file (with a hole for each block of zeros), as an image.

    Args:
        path: the archive, the raw file, or a recipe of an image.
        sources: the files that a recipe was made with, in the same order; see `tools.image.recipe`.

    Raises:
        UserError: the file cannot be read, is compressed, or is an archive without or with several files; or sources
            are not those of the recipe, or there is none.
    """
    if is_recipe(path):
        return open_recipe(path, sources)
    if sources:
        raise UserError(f"{os.fspath(path)}: is no recipe of an image, so it has no sources; leave them out")
    return open_member(path) if is_archive(path) else open_raw(path)


def open_images(path: str | os.PathLike[str]) -> dict[str, Image]:
    """Opens all files in a tar archive, by name, or a raw file, with an empty name, as images.

    Raises:
        UserError: the file cannot be read, is compressed, or is a damaged archive; or it is a recipe with sources.
    """
    if not is_archive(path):
        return {"": open_image(path)}
    members = ((member.name.decode(errors="backslashreplace"), member.content) for member in read_members(path))
    return {name: content for name, content in members if content is not None}


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file starts with a valid tar header with the magic `ustar`.

    Raises:
        UserError: the file cannot be read, or is compressed.
    """
    file = InputFile(path)
    check_not_compressed(file)
    start = file.read(0, min(file.size(), header.BLOCK))
    return len(start) == header.BLOCK and start[257:262] == b"ustar" and header.checksum_matches(start)
