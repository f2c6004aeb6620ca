"""Reads the tar of a bootstrap medium from a stream.

Accepted are regular files and directories with relative names, in the formats ustar, pax and GNU, as GNU tar and Python
write them. A link, a device, or a name that is too long or there twice is returned with what is wrong with it: only the
caller knows whether it needs the member. Sparse files, unknown types and names that lead out of the archive are always
refused. Headers are limited in size, so the memory that an archive costs doesn't depend on what it declares. Format:
see tar_blocks.py; long names of the GNU format: GNU tar manual, "Basic Tar Format" (type L).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from guestos.compressed_stream import Stream
from guestos.errors import ImageError
from guestos.tar_blocks import BLOCK, Blocks, check_sum, number, records

MAX_MEMBERS = 200_000
MAX_BYTES = 4 << 30
"""Maximum size of all files together, in bytes."""

_MAX_DEPTH = 32
_MAX_NAME = 255
"""Maximum length of a name in bytes (NAME_MAX, limits.h)."""
_MAX_PATH = 1024
"""Maximum length in bytes of a member's names together, since all of them are kept."""

_MAX_HEADERS = 4
"""Maximum number of headers of a member, its own among them."""

_CHUNK = 1 << 18
_FILES = (b"0", b"\0", b"7")
_DIRECTORY = b"5"
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"6")
"""Types of links, devices and pipes. Some archivers give the size of what a hard link leads to."""

_REFUSED = ("size", "GNU.sparse.")
"""Beginnings of pax keywords that change what the data of a member is."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the archive has under a name.

    Attributes:
        path: the names of its directories and its own; empty for the top directory.
        size: of the file in bytes; None for a directory, and for what is neither.
        problem: why it cannot be used, as a message about the archive; empty for a file or directory that can.
    """

    path: tuple[str, ...]
    size: int | None
    problem: str = ""

    @property
    def name(self) -> str:
        """The path as text, for messages."""
        return "/".join(self.path)


class Archive:
    """An archive that is read once, from its start to its end."""

    def __init__(self, stream: Stream) -> None:
        self._blocks = Blocks(stream)
        self._left = 0
        self._padding = 0
        self._seen: dict[tuple[str, ...], bool] = {(): True}

    def members(self) -> Iterator[Member]:
        """Yields the members. `data` returns the content of the last one; what isn't read of it is skipped.

        Raises:
            ImageError: the archive is damaged or truncated, has too many members or too much data, or has a member that
                is refused in any case.
        """
        total = count = 0
        while True:
            for _ in self.data():
                pass
            self._blocks.exactly(self._padding)
            member = self._next()
            if member is None:
                return
            total += member.size or 0
            count += 1
            if max(count, len(self._seen)) > MAX_MEMBERS or total > MAX_BYTES:
                raise ImageError(f"the archive has more than {MAX_MEMBERS} members or {MAX_BYTES} bytes")
            yield member

    def data(self) -> Iterator[bytes]:
        """Yields the content of the member that `members` returned last, in parts."""
        while self._left:
            part = self._blocks.exactly(min(self._left, _CHUNK))
            self._left -= len(part)
            yield part

    def _next(self) -> Member | None:
        name: bytes | None = None
        extended: dict[str, str] = {}
        for _ in range(_MAX_HEADERS):
            block = self._blocks.exactly(BLOCK)
            if not block.strip(b"\0"):
                if name is not None or extended:
                    raise ImageError("the archive ends after an extended header")
                self._check_end()
                return None
            if block[257:262] != b"ustar":
                raise ImageError("the archive is not a tar in one of the formats ustar, pax and GNU")
            check_sum(block)
            kind = block[156:157]
            if kind == b"x":
                extended = _accepted(self._blocks.padded(block))
            elif kind == b"g":
                if "path" in _accepted(self._blocks.padded(block)):
                    raise ImageError("the archive has one name for all of its members")
            elif kind == b"L":
                name = self._blocks.padded(block).removesuffix(b"\0")
            else:
                return self._member(block, kind, _name(block, extended.get("path"), name))
        raise ImageError(f"the archive has more than {_MAX_HEADERS - 1} extended headers before a member")

    def _member(self, block: bytes, kind: bytes, name: str) -> Member:
        path = _path(name)
        size = number(block[124:136])
        shown = repr(name[:200])
        self._left = self._padding = 0
        if kind == _DIRECTORY or (kind in _FILES and name.endswith("/")):
            if size and kind != _DIRECTORY:
                raise ImageError(f"the archive has {shown}, a directory with data")
            return self._checked(Member(path, None), shown)
        if kind in _FILES:
            self._left, self._padding = size, -size % BLOCK
            return self._checked(Member(path, size), shown)
        problem = f"the archive has {shown}, which is neither a file nor a directory"
        if kind not in _WITHOUT_DATA or (size and kind != b"1"):
            raise ImageError(problem)
        return Member(path[:1], None, problem)

    def _checked(self, member: Member, shown: str) -> Member:
        """Returns a member, with a problem if its name is too long or is there already as something else."""
        problem = _name_problem(member.path, shown) or self._remember(member, shown)
        return Member(member.path[:1], member.size, problem) if problem else member

    def _remember(self, member: Member, shown: str) -> str:
        """Returns a problem if a path is there twice, or both a file and a directory; else remembers it."""
        path = tuple(map(sys.intern, member.path))  # members of a directory share its name
        if any(not self._seen.get(path[:depth], True) for depth in range(len(path))):
            return f"the archive has {shown} below a file"
        is_directory = member.size is None
        if path in self._seen and not (is_directory and self._seen[path]):
            return f"the archive has {shown} twice"
        self._seen |= {path[:depth]: True for depth in range(len(path))}
        self._seen[path] = is_directory
        return ""

    def _check_end(self) -> None:
        """Checks that a second block of zeros follows, and nothing but zeros after it."""
        if self._blocks.exactly(BLOCK).strip(b"\0"):
            raise ImageError("the archive is damaged: there is a block of zeros between its members")
        while rest := self._blocks.at_most(_CHUNK):
            if rest.strip(b"\0"):
                raise ImageError("there is data after the end of the archive")


def _accepted(data: bytes) -> dict[str, str]:
    """Returns the records of an extended header; keywords other than those of a name don't matter.

    Raises:
        ImageError: a record is invalid, or changes what the data of a member is.
    """
    found: dict[str, str] = {}
    for keyword, value in records(data):
        if keyword.startswith(_REFUSED):
            raise ImageError(f"the archive has an extended header with {keyword!r}, which is not supported")
        found[keyword] = value
    return found


def _name(block: bytes, pax: str | None, long: bytes | None) -> str:
    """Returns the name of a member: that of an extended header, or else of its own header."""
    if pax is not None:
        return pax
    name = long
    if name is None:
        name = block[:100].partition(b"\0")[0]
        # In the GNU format, this field has other data.
        prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
        name = prefix + b"/" + name if prefix else name
    # What is not UTF-8 cannot be printed, and so is a problem of the member.
    return name.decode(errors="surrogateescape")


def _path(name: str) -> tuple[str, ...]:
    """Returns the parts of a name.

    Raises:
        ImageError: it leads out of the archive.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not name or name.startswith("/") or ".." in parts:
        raise ImageError(f"the archive has a member {name[:200]!r}, which is not a relative name")
    return parts


def _name_problem(path: tuple[str, ...], shown: str) -> str:
    """Returns why a name cannot be used; empty if it can."""
    if len(path) > _MAX_DEPTH or not all(part.isprintable() for part in path):
        return f"the archive has a member {shown}, which is not a relative name of printable characters"
    sizes = [len(part.encode()) for part in path]
    if max(sizes, default=0) > _MAX_NAME or sum(sizes) > _MAX_PATH:
        return f"the archive has a member {shown} with a name of more than {_MAX_NAME} bytes, or {_MAX_PATH} in all"
    return ""
