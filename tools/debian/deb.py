"""Reads binary packages (.deb).

A package is an `ar` archive with three members: `debian-binary` (version of the format), `control.tar` (metadata and
maintainer scripts) and `data.tar` (files); the tar archives may be compressed. See deb(5), deb-control(5) and ar(5).
Members are decompressed as a stream.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import IO, Any, BinaryIO, Self, cast

import zstandard

from tools.core.errors import UserError
from tools.core.frames import xz_reader, zstd_reader

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_SIZE = 60
_AR_HEADER_END = b"`\n"
_AR_MAX_SIZE = 10**10 - 1  # ten decimal digits
_CHUNK = 1 << 18

_REQUIRED = ("Package", "Version", "Architecture")
"""Fields of the control file that identify a package (deb-control(5))."""

_DAMAGE = (
    EOFError,
    OverflowError,
    ValueError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    zlib.error,
    zstandard.ZstdError,
)
"""Exceptions of decompressors and of tarfile for invalid or truncated data; ValueError for numbers in pax headers."""


_READS_AT_END = 8


class _Section(io.RawIOBase):
    """A range of an open file as a file object, for sequential reading."""

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


_DECOMPRESSORS: dict[str, Callable[[IO[bytes]], Any]] = {
    "": lambda source: source,
    ".gz": lambda source: gzip.GzipFile(fileobj=source, mode="rb"),
    ".xz": xz_reader,
    ".zst": zstd_reader,
    ".bz2": bz2.BZ2File,
    ".lzma": lzma.LZMAFile,
}
"""Decompressors by the suffix of the member's name (deb(5))."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    offset: int
    size: int
    mtime: int


class Deb:
    """An open package.

    Attributes:
        path: name of the file, for messages.
        size: of the file in bytes.
        built: build time in seconds since the epoch, from the ar header; for reproducible packages the time of the last
            changelog entry.
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
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise UserError(f"{self.path}: is not a file; give the package file")
        self.size = os.fstat(self._descriptor).st_size
        self._members = list(self._read_headers())
        if not self._members or self._members[0].name != "debian-binary":
            raise UserError(f"{self.path}: not a Debian package: its first member isn't debian-binary")
        version = os.pread(self._descriptor, 2, self._members[0].offset)
        if version != b"2.":
            raise UserError(f"{self.path}: a Debian package of format {version!r}; only format 2 is supported")
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
        if os.pread(self._descriptor, len(_AR_MAGIC), 0) != _AR_MAGIC:
            raise UserError(f"{self.path}: not a Debian package: it isn't an ar archive")
        offset = len(_AR_MAGIC)
        while offset < self.size:
            header = os.pread(self._descriptor, _AR_HEADER_SIZE, offset)
            if len(header) < _AR_HEADER_SIZE or header[58:] != _AR_HEADER_END:
                raise UserError(f"{self.path}: damaged: no ar member header at byte {offset}")
            name = header[:16].rstrip().removesuffix(b"/").decode("ascii", "backslashreplace")
            mtime, length = header[16:28].strip(), header[48:58].strip()
            if not length.isdigit() or not (mtime.isdigit() or not mtime):
                raise UserError(f"{self.path}: damaged: member {name} has no valid size or time")
            member = _Member(name, offset + _AR_HEADER_SIZE, int(length), int(mtime or 0))
            if member.offset + member.size > self.size:
                raise UserError(f"{self.path}: truncated: member {name} ends after the end of the file")
            yield member
            offset = member.offset + member.size + member.size % 2

    @contextmanager
    def _open_tar(self, stem: str) -> Iterator[BinaryIO]:
        """Opens control.tar or data.tar, decompressed; damage found in the `with` block raises a `UserError`."""
        member = next((m for m in self._members if m.name == stem or m.name.startswith(stem + ".")), None)
        if member is None:
            raise UserError(f"{self.path}: not a Debian package: it has no {stem}")
        decompressor = _DECOMPRESSORS.get(member.name.removeprefix(stem))
        if decompressor is None:
            raise UserError(f"{self.path}: {member.name} has an unsupported compression")
        section = io.BufferedReader(_Section(self._descriptor, member.offset, member.size), _CHUNK)
        try:
            stream = cast(BinaryIO, io.BufferedReader(decompressor(section), _CHUNK))
            yield stream
            while stream.read(_CHUNK):  # read up to the checksum, which is after the end of the tar archive
                pass
        except _DAMAGE as error:
            raise UserError(f"{self.path}: {member.name} is damaged: {error}") from error

    def data_stream(self) -> AbstractContextManager[BinaryIO]:
        """Returns a context manager for the package's files as a stream of an uncompressed tar archive.

        Raises:
            UserError: in the `with` block, if the data is damaged or truncated.
        """
        return self._open_tar("data.tar")

    def write_uncompressed(self, path: str | os.PathLike[str]) -> None:
        """Writes a new file: the same package, whose data.tar is not compressed.

        Raises:
            UserError: the data is damaged or truncated, or takes more than ar's headers can tell, 10 GB.
        """
        with open(path, "xb") as output:
            output.write(_AR_MAGIC)
            for member in self._members:
                if member.name.startswith("data.tar"):
                    self._write_data(member, output)
                else:
                    output.write(_ar_header(member))
                    shutil.copyfileobj(_Section(self._descriptor, member.offset, member.size), output, _CHUNK)
                    output.write(b"\n" * (member.size % 2))

    def _write_data(self, member: _Member, output: BinaryIO) -> None:
        """Writes the member data.tar; its size is known, and its header written, after its content."""
        header = output.tell()
        output.seek(_AR_HEADER_SIZE, os.SEEK_CUR)
        with self.data_stream() as stream:
            shutil.copyfileobj(stream, output, _CHUNK)
        size = output.tell() - header - _AR_HEADER_SIZE
        if size > _AR_MAX_SIZE:
            raise UserError(f"{self.path}: its files take {size} bytes, and a package can have {_AR_MAX_SIZE}")
        output.write(b"\n" * (size % 2))
        output.seek(header)
        output.write(_ar_header(replace(member, name="data.tar", size=size)))
        output.seek(0, os.SEEK_END)

    @contextmanager
    def data(self) -> Iterator[tarfile.TarFile]:
        """Opens the package's files as a tar archive for sequential reading.

        Names are decoded as UTF-8 with surrogateescape.

        Raises:
            UserError: in the `with` block, if the data is damaged or truncated.
        """
        with self.data_stream() as stream, _open_stream(stream) as archive:
            yield archive

    def control(self) -> dict[str, str]:
        """Returns the fields of the control file, in order; continuation lines keep their newlines.

        Names of fields are case-insensitive (deb-control(5)); here each part of a name starts with a capital letter, as
        in `Pre-Depends`.

        Raises:
            UserError: control.tar is damaged, has no control file, or this one lacks a field that every package has.
        """
        with self._open_tar("control.tar") as stream, _open_stream(stream) as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                if content is not None and entry.name.removeprefix("./") == "control":
                    fields = _parse_control(content.read().decode("utf-8", "replace"))
                    if missing := [name for name in _REQUIRED if not fields.get(name)]:
                        raise UserError(
                            f"{self.path}: its control file has no field {missing[0]}; rebuild the package with it"
                        )
                    return fields
        raise UserError(f"{self.path}: not a Debian package: control.tar has no control file")


class _EndingStream:
    """A stream whose end is an error if it is read again and again.

    tarfile skips the data of a member in steps of 10 KiB, without a look at what it reads. A header that declares 8 EiB
    would keep it busy for ever.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = _READS_AT_END

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if not data:
            self._left -= 1
            if self._left < 0:
                raise EOFError("it ends before the data that a header declares")
        return data


def _ar_header(member: _Member) -> bytes:
    """Returns the header of a member: name, time, owner, group, mode and size, as dpkg-deb writes it."""
    return b"%-16s%-12d0     0     100644  %-10d%s" % (
        member.name.encode(),
        member.mtime,
        member.size,
        _AR_HEADER_END,
    )


def _open_stream(stream: BinaryIO) -> tarfile.TarFile:
    source = cast(BinaryIO, _EndingStream(stream))
    return tarfile.open(fileobj=source, mode="r|", encoding="utf-8", errors="surrogateescape")


def _parse_control(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in {" ", "\t"} and name:
            fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            name = "-".join(part.capitalize() for part in name.strip().split("-"))
            fields[name] = value.strip()
    return fields
