"""A reader for binary packages (.deb).

A package is an `ar` archive of three members: `debian-binary` (the format's version), `control.tar` (metadata and
maintainer scripts) and `data.tar` (the files), the last two plain or compressed. Formats: deb(5), deb-control(5) and
ar(5) of the Debian manual pages. Members are decompressed while they are read; no package is held in memory.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, BinaryIO, Self, cast

import zstandard

from tools.core.errors import UserError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_SIZE = 60
_AR_HEADER_END = b"`\n"
_CHUNK = 1 << 18

_DAMAGE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, tarfile.TarError, zlib.error, zstandard.ZstdError)
"""What the decompressors and the tar reader raise for data that isn't theirs, or is cut short."""


class _Section(io.RawIOBase):
    """A range of an open file as a file of its own, for one reader from its start to its end."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._offset = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._end - self._offset]
        count = os.preadv(self._descriptor, [view], self._offset) if view else 0
        if view and not count:
            raise EOFError("the file ends inside this member")
        self._offset += count
        return count


class _ZstdFile(io.RawIOBase):
    """Decompresses zstd frames, and unlike `zstandard`'s own reader takes a missing end for an error."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            rest = self._frame.unused_data if self._frame and self._frame.eof else b""
            chunk = rest or self._source.read(_CHUNK)
            if self._frame is None or self._frame.eof:
                if not chunk:
                    return 0
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            elif not chunk:
                raise EOFError("the last zstd frame is cut short")
            self._ready = memoryview(self._frame.decompress(chunk))
        view = memoryview(buffer)
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


_DECOMPRESSORS: dict[str, Callable[[IO[bytes]], Any]] = {
    "": lambda source: source,
    ".gz": lambda source: gzip.GzipFile(fileobj=source, mode="rb"),
    ".xz": lzma.LZMAFile,
    ".zst": _ZstdFile,
    ".bz2": bz2.BZ2File,
    ".lzma": lzma.LZMAFile,
}
"""By the suffix of the member's name; deb(5) lists them."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    offset: int
    size: int
    mtime: int


class Deb:
    """An open package.

    Attributes:
        path: the file's name, for messages.
        built: when the package was built, in seconds since the epoch: what dpkg-deb wrote into the archive's header,
            which for reproducible packages is the time of their last changelog entry.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens a package and reads the headers of its members.

        Raises:
            UserError: the file can't be read, or isn't a package of format 2.
        """
        self.path = os.fspath(path)
        self._descriptor = -1
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from error
        self._members = list(self._read_headers())
        if not self._members or self._members[0].name != "debian-binary":
            raise UserError(f"{self.path}: not a Debian package: its first member isn't debian-binary")
        version = os.pread(self._descriptor, 2, self._members[0].offset)
        if version != b"2.":
            raise UserError(f"{self.path}: a Debian package of format {version!r}; only format 2 is known")
        self.built = self._members[0].mtime

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; the package can't be read afterwards."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_headers(self) -> Iterator[_Member]:
        size = os.fstat(self._descriptor).st_size
        if os.pread(self._descriptor, len(_AR_MAGIC), 0) != _AR_MAGIC:
            raise UserError(f"{self.path}: not a Debian package: it doesn't start as an ar archive")
        offset = len(_AR_MAGIC)
        while offset < size:
            header = os.pread(self._descriptor, _AR_HEADER_SIZE, offset)
            if len(header) < _AR_HEADER_SIZE or header[58:] != _AR_HEADER_END:
                raise UserError(f"{self.path}: damaged: no ar member header at byte {offset}")
            name = header[:16].rstrip().removesuffix(b"/").decode("ascii", "backslashreplace")
            mtime, length = header[16:28].strip(), header[48:58].strip()
            if not length.isdigit() or not (mtime.isdigit() or not mtime):
                raise UserError(f"{self.path}: damaged: member {name} has no valid size or time")
            member = _Member(name, offset + _AR_HEADER_SIZE, int(length), int(mtime or 0))
            if member.offset + member.size > size:
                raise UserError(f"{self.path}: truncated: member {name} ends after the end of the file")
            yield member
            offset = member.offset + member.size + member.size % 2

    @contextmanager
    def _open_tar(self, stem: str) -> Iterator[BinaryIO]:
        """Yields the decompressed bytes of control.tar or data.tar; damage met in the `with` block is a UserError."""
        member = next((m for m in self._members if m.name == stem or m.name.startswith(stem + ".")), None)
        if member is None:
            raise UserError(f"{self.path}: not a Debian package: it has no {stem}")
        decompressor = _DECOMPRESSORS.get(member.name.removeprefix(stem))
        if decompressor is None:
            raise UserError(f"{self.path}: {member.name} is compressed in a way that isn't known")
        section = io.BufferedReader(_Section(self._descriptor, member.offset, member.size), _CHUNK)
        try:
            stream = cast(BinaryIO, io.BufferedReader(decompressor(section), _CHUNK))
            yield stream
            while stream.read(_CHUNK):  # a checksum comes last, after what a reader of tar archives takes
                pass
        except _DAMAGE as error:
            raise UserError(f"{self.path}: {member.name} is damaged: {error}") from error

    def data_stream(self) -> AbstractContextManager[BinaryIO]:
        """Returns a context that gives the package's files as the bytes of a plain tar archive.

        Raises:
            UserError: from the `with` block, when the data turns out to be damaged or cut short.
        """
        return self._open_tar("data.tar")

    @contextmanager
    def data(self) -> Iterator[tarfile.TarFile]:
        """Gives the package's files as an archive that can be read once, from front to back.

        Names are text as the file system's functions take it: UTF-8, with other bytes as surrogates.

        Raises:
            UserError: from the `with` block, when the data turns out to be damaged or cut short.
        """
        with self.data_stream() as stream, _open_stream(stream) as archive:
            yield archive

    def control(self) -> dict[str, str]:
        """Returns the fields of the control file, in its order; continuation lines keep their line breaks.

        Raises:
            UserError: the control member is damaged, or holds no control file.
        """
        with self._open_tar("control.tar") as stream, _open_stream(stream) as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                if content is not None and entry.name.removeprefix("./") == "control":
                    return _parse_control(content.read().decode("utf-8", "replace"))
        raise UserError(f"{self.path}: not a Debian package: control.tar holds no control file")


def _open_stream(stream: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape")


def _parse_control(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in {" ", "\t"} and name:
            fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields
