"""What differs between two files that should be the same byte by byte, in words, as deep as their formats are known.

Archives are compared member by member, in their order and with their headers; images in them partition by partition
and path by path; compressed files by what they hold. A difference that no format explains is one of bytes: the first.
"""

from __future__ import annotations

import itertools
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tools.core.errors import UserError
from tools.image.compare import first_difference
from tools.image.decompression import compression_of, decompress
from tools.image.rawfile import open_allocated
from tools.inspect.image_differences import byte_difference, image_differences
from tools.tar.image_file import is_archive
from tools.tar.reader import Member, read_members

_FIELDS = ("kind", "permissions", "uid", "gid", "mtime_ns", "link", "device", "xattrs")
"""What is compared of members of archives, beside their contents."""


def file_differences(left: str | os.PathLike[str], right: str | os.PathLike[str], where: str = "") -> Iterator[str]:
    """Yields what differs between two files, or two folders with all that is in them; nothing if they are the same.

    Of folders, names and types count, and what files hold; not permissions, times and owners.

    Args:
        left: one file or folder.
        right: the other one.
        where: how each difference starts.

    Raises:
        UserError: one of them can't be read, or is neither file nor folder.
    """
    kinds = [_kind(path) for path in (left, right)]
    if kinds[0] != kinds[1]:
        yield f"{where}type: {kinds[0]} / {kinds[1]}"
    elif kinds[0] == "folder":
        yield from _folder_differences(Path(left), Path(right), where)
    else:
        yield from _content_differences(left, right, where)


def _kind(path: str | os.PathLike[str]) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        return "folder"
    if not stat.S_ISREG(mode):
        raise UserError(f"{os.fspath(path)}: is neither a file nor a folder")
    return "file"


def _folder_differences(left: Path, right: Path, where: str) -> Iterator[str]:
    names = [set(os.listdir(folder)) for folder in (left, right)]
    for name in sorted(names[0] | names[1]):
        if name in names[0] and name in names[1]:
            yield from file_differences(left / name, right / name, f"{where}{name}: ")
        else:
            yield f"{where}{name}: only in the {'left' if name in names[0] else 'right'}"


def _content_differences(left: str | os.PathLike[str], right: str | os.PathLike[str], where: str) -> Iterator[str]:
    images = open_allocated(left), open_allocated(right)
    offset = first_difference(*images)
    if offset is None:
        return
    described = False
    for difference in _described(left, right, where):
        described = True
        yield difference
    if not described and compression_of(left):
        yield f"{where}compressed data: {byte_difference(*images, offset)}"
    elif not described:
        yield f"{where}{byte_difference(*images, offset)}{_place(left, right, offset)}"


def _described(left: str | os.PathLike[str], right: str | os.PathLike[str], where: str) -> Iterator[str]:
    """Yields what differs in what is understood of two files."""
    formats = compression_of(left), compression_of(right)
    try:
        if formats != (None, None):
            if formats[0] != formats[1]:
                yield f"{where}compression: {formats[0] or 'none'} / {formats[1] or 'none'}"
                return
            with tempfile.TemporaryDirectory() as folder:
                paths = Path(folder, "left"), Path(folder, "right")
                for source, path in zip((left, right), paths, strict=True):
                    decompress(source, path)
                yield from _content_differences(*paths, where)
        elif is_archive(left) and is_archive(right):
            yield from _archive_differences(left, right, where)
        else:
            yield from image_differences(open_allocated(left), open_allocated(right), where)
    except UserError as error:
        yield f"{where}cannot be compared in detail: {error}"


def _archive_differences(left: str | os.PathLike[str], right: str | os.PathLike[str], where: str) -> Iterator[str]:
    """Yields what differs in the members of two archives; of a name that is there twice, the first ones are a pair."""
    members = _members(left), _members(right)
    for key in sorted(members[0].keys() | members[1].keys()):
        one, other = members[0].get(key), members[1].get(key)
        name = _shown(key[0])
        if one is None or other is None:
            yield f"{where}{name}: only in the {'right' if one is None else 'left'}"
            continue
        for field in _FIELDS:
            values = getattr(one, field), getattr(other, field)
            if values[0] != values[1]:
                yield f"{where}{name}: {field.removesuffix('_ns')}: {_value(values[0])} / {_value(values[1])}"
        if one.content is not None and other.content is not None:
            yield from image_differences(one.content, other.content, f"{where}{name}: ")
    if members[0].keys() == members[1].keys():
        for one, other in zip(members[0].values(), members[1].values(), strict=True):
            if one.name != other.name:
                yield f"{where}order of members: {_shown(one.name)} / {_shown(other.name)}"
                return


def _members(path: str | os.PathLike[str]) -> dict[tuple[bytes, int], Member]:
    """Returns the members of an archive in its order, by name and by how often the name was there before."""
    seen: Counter[bytes] = Counter()
    found = {}
    for member in read_members(path):
        found[member.name, seen[member.name]] = member
        seen[member.name] += 1
    return found


def _place(left: str | os.PathLike[str], right: str | os.PathLike[str], offset: int) -> str:
    """Returns which member of two archives, that differ in nothing else, a byte belongs to; empty if they are none."""
    if not (is_archive(left) and is_archive(right)):
        return ""
    before = list(itertools.takewhile(lambda member: member.offset <= offset, read_members(left)))
    return f" (headers of {_shown(before[-1].name)}, which starts at byte {before[-1].offset})" if before else ""


def _shown(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


def _value(value: object) -> str:
    match value:
        case bytes():
            return _shown(value) or "none"
        case dict():
            return ", ".join(f"{_shown(name)}=0x{each.hex()}" for name, each in sorted(value.items())) or "none"
        case _:
            return str(value)
