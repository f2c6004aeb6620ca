"""Images read in place: members of tar archives, and raw files."""

from __future__ import annotations

import os

from tools.core.errors import UserError
from tools.image.extents import Image, InputFile
from tools.image.rawfile import open_raw
from tools.tar import header
from tools.tar.reader import check_not_compressed, read_members


def open_member(path: str | os.PathLike[str], name: str | None = None) -> Image:
    """Returns a file of a tar archive as an image whose extents are ranges of the archive; nothing is extracted.

    The extents of a sparse member are the ranges of its map, so that its map and data stay what they are when it is
    put into another archive.

    Args:
        path: of the archive, which isn't compressed.
        name: of the member; None where the archive has to be one of a single file.

    Raises:
        UserError: it is no such archive, is damaged or ends early, or has no such member.
    """
    found: Image | None = None
    names: list[str] = []
    for member in read_members(path):
        if member.content is not None:
            names.append(member.name.decode(errors="backslashreplace"))
            if name is None or names[-1] == name:
                found = member.content
    if name is None and len(names) != 1:
        raise UserError(f"{os.fspath(path)}: has {len(names)} files; an archive of one image is needed")
    if found is None:
        raise UserError(f"{os.fspath(path)}: has no file {name!r}; it has {', '.join(names) or 'none'}")
    return found


def open_image(path: str | os.PathLike[str]) -> Image:
    """Returns the image in a file: of the one member of a tar archive, or the file itself, without blocks of zeros.

    Raises:
        UserError: it cannot be read, is compressed, or is an archive of something else than one file.
    """
    return open_member(path) if is_archive(path) else open_raw(path)


def open_images(path: str | os.PathLike[str]) -> dict[str, Image]:
    """Returns the images in a file by name: all files of a tar archive, or the file itself under an empty name.

    Raises:
        UserError: it cannot be read, is compressed, or is a damaged archive.
    """
    if not is_archive(path):
        return {"": open_raw(path)}
    members = ((member.name.decode(errors="backslashreplace"), member.content) for member in read_members(path))
    return {name: content for name, content in members if content is not None}


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Tells whether a file is a tar archive with a magic, by its first header.

    Raises:
        UserError: it cannot be read, or is compressed.
    """
    file = InputFile(path)
    check_not_compressed(file)
    start = file.read(0, min(file.size(), header.BLOCK))
    return len(start) == header.BLOCK and start[257:262] == b"ustar" and header.checksum_matches(start)
