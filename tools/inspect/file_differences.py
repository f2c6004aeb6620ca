"""How two files differ that should be the same byte by byte, as deep as their formats are known.

Archives are compared member by member, in their order and with their headers; images in them partition by partition
and path by path; compressed files by what they hold. Where no format explains a difference it is one of bytes.
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
from tools.core.text import escaped
from tools.image.compare import first_difference
from tools.image.decompression import compression_of, decompress
from tools.image.rawfile import open_allocated
from tools.inspect.content_differences import byte_difference
from tools.inspect.difference import UNREADABLE, Difference, presence
from tools.inspect.image_differences import image_differences
from tools.tar.image_file import is_archive
from tools.tar.reader import Member, read_members

_Path = str | os.PathLike[str]
_Place = tuple[str, ...]

_FIELDS = ("kind", "permissions", "uid", "gid", "mtime_ns", "link", "device", "xattrs")
"""What is compared of members of archives, beside their contents."""


def file_differences(left: _Path, right: _Path, where: _Place = ()) -> Iterator[Difference]:
    """Yields what differs between two files, or two folders with all that is in them; nothing if they are the same.

    Of folders, names and types count, and what files hold; not permissions, times and owners.

    Args:
        left: one file or folder.
        right: the other one.
        where: where the two are, to begin each difference with.

    Raises:
        UserError: one of them can't be read, or is neither file nor folder.
    """
    kinds = [_kind(path) for path in (left, right)]
    if kinds[0] != kinds[1]:
        yield Difference(where, "type", *kinds)
    elif kinds[0] == "folder":
        yield from _folder_differences(Path(left), Path(right), where)
    else:
        yield from _content_differences(left, right, where)


def _kind(path: _Path) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        return "folder"
    if not stat.S_ISREG(mode):
        raise UserError(f"{os.fspath(path)}: is neither a file nor a folder")
    return "file"


def _folder_differences(left: Path, right: Path, where: _Place) -> Iterator[Difference]:
    names = [set(os.listdir(folder)) for folder in (left, right)]
    for name in sorted(names[0] | names[1]):
        if name in names[0] and name in names[1]:
            yield from file_differences(left / name, right / name, (*where, name))
        else:
            yield from _only((left if name in names[0] else right) / name, (*where, name), on_left=name in names[0])


def _only(path: Path, where: _Place, *, on_left: bool) -> Iterator[Difference]:
    """Yields a difference for a file or folder that only one side has, and for all that is in the folder."""
    folder = path.is_dir() and not path.is_symlink()
    yield presence(where, "folder" if folder else "file", on_left=on_left)
    for name in sorted(os.listdir(path)) if folder else ():
        yield from _only(path / name, (*where, name), on_left=on_left)


def _content_differences(left: _Path, right: _Path, where: _Place) -> Iterator[Difference]:
    images = open_allocated(left), open_allocated(right)
    offset = first_difference(*images)
    if offset is None:
        return
    described = False
    for difference in _described(left, right, where):
        described = True
        yield difference
    if not described and compression_of(left):
        yield byte_difference(*images, offset, where, note="of the compressed data; what it holds is the same")
    elif not described:
        yield byte_difference(*images, offset, where, note=_member_at(left, right, offset))


def _described(left: _Path, right: _Path, where: _Place) -> Iterator[Difference]:
    """Yields what differs in what is understood of two files."""
    formats = compression_of(left), compression_of(right)
    try:
        if formats != (None, None):
            if formats[0] != formats[1]:
                yield Difference(where, "compression", *formats)
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
        yield Difference(where, UNREADABLE, note=str(error))


def _archive_differences(left: _Path, right: _Path, where: _Place) -> Iterator[Difference]:
    """Yields what differs in the members of two archives; of a name that is there twice, the first ones are a pair."""
    members = _members(left), _members(right)
    for key in sorted(members[0].keys() | members[1].keys()):
        one, other = members[0].get(key), members[1].get(key)
        place = (*where, _name(key[0]))
        if one is None or other is None:
            yield presence(place, "member", on_left=one is not None)
            continue
        for field in _FIELDS:
            values = getattr(one, field), getattr(other, field)
            if values[0] != values[1]:
                yield Difference(place, field.removesuffix("_ns"), *(_value(field, value) for value in values))
        if one.content is not None and other.content is not None:
            yield from image_differences(one.content, other.content, place)
    if members[0].keys() == members[1].keys():
        for one, other in zip(members[0].values(), members[1].values(), strict=True):
            if one.name != other.name:
                yield Difference(where, "order of members", _name(one.name), _name(other.name))
                return


def _members(path: _Path) -> dict[tuple[bytes, int], Member]:
    """Returns the members of an archive in its order, by name and by how often the name was there before."""
    seen: Counter[bytes] = Counter()
    found = {}
    for member in read_members(path):
        found[member.name, seen[member.name]] = member
        seen[member.name] += 1
    return found


def _member_at(left: _Path, right: _Path, offset: int) -> str:
    """Returns which member of two archives, that differ in nothing else, a byte belongs to; empty if they are none."""
    if not (is_archive(left) and is_archive(right)):
        return ""
    before = list(itertools.takewhile(lambda member: member.offset <= offset, read_members(left)))
    return f"headers of {escaped(before[-1].name)}, which starts at byte {before[-1].offset}" if before else ""


def _name(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _value(field: str, value: object) -> str | None:
    match value:
        case int() if field == "permissions":
            return f"{value:04o}"
        case bytes():
            return escaped(value) or None
        case dict():
            return ", ".join(f"{escaped(name)}=0x{each.hex()}" for name, each in sorted(value.items())) or None
        case _:
            return None if value is None else str(value)
