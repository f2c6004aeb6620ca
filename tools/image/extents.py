"""The extent model: an image is a size and a list of extents, each a range of the image and the source of its data.

Format writers return an image without writing it. An image is small: only metadata (superblocks, tables, directories)
is in memory; file contents are ranges of the input files. Slicing and composing images copies no data. Data is copied
once, when an image is written to a file or hashed.

All offsets and lengths are in bytes. Bytes without an extent are a hole and read as zeros.
"""

from __future__ import annotations

import bisect
import os
import stat
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar, Protocol

from tools.core.errors import UserError
from tools.core.inputs import record

_START = attrgetter("offset")
_MAX_OPEN = 256

Buffer = bytes | memoryview


class Source(Protocol):
    """Where the data of an extent comes from: immutable bytes with random access."""

    def read(self, offset: int, length: int) -> Buffer:
        """Returns exactly `length` bytes from `offset` on."""

    def advanced(self, offset: int) -> Source:
        """Returns a source that starts `offset` bytes later; copies nothing."""


class FillingSource:
    """A source that fills a buffer of the caller's, where `read` would make one that is copied then."""

    __slots__ = ()

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fills `view`, which contains zeros, with the bytes from `offset` on."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes in memory."""

    data: Buffer

    def read(self, offset: int, length: int) -> Buffer:
        return memoryview(self.data)[offset : offset + length]

    def advanced(self, offset: int) -> Source:
        return Data(memoryview(self.data)[offset:])


@dataclass(frozen=True, slots=True)
class Pattern:
    """A block of bytes that repeats endlessly, such as the hashes of a hole in a hash tree.

    Attributes:
        block: the repeated bytes.
        phase: offset in `block` of the first byte.
    """

    block: bytes
    phase: int = 0

    def read(self, offset: int, length: int) -> Buffer:
        begin = (self.phase + offset) % len(self.block)
        repeats = -(-(begin + length) // len(self.block))
        return memoryview(self.block * repeats)[begin : begin + length]

    def advanced(self, offset: int) -> Source:
        return Pattern(self.block, (self.phase + offset) % len(self.block))


class InputFile:
    """A file that extents refer to; opened at first use and kept open.

    The file must not change while an image refers to it. Reading past its end is an error. At most 256 files are open;
    the one that was opened first is closed for another. Not thread-safe.
    """

    __slots__ = ("__weakref__", "_fd", "path")

    _opened: ClassVar[deque[weakref.ref[InputFile]]] = deque()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._fd: int | None = None

    def fileno(self) -> int:
        """Returns the file's descriptor, and opens the file if necessary; valid until another file is opened.

        Raises:
            UserError: the file cannot be opened, or is a directory.
        """
        if self._fd is None:
            try:
                fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise self._unreadable(error) from error
            self._fd = fd
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                self.close()
                raise UserError(f"{self.path}: is a directory, not a file")
            record(fd)
            self._opened.append(weakref.ref(self))
            if len(self._opened) > _MAX_OPEN and (oldest := self._opened.popleft()()):
                oldest.close()
            return fd
        return self._fd

    def size(self) -> int:
        """Returns the size in bytes of the file, or of the block device."""
        status = os.fstat(self.fileno())
        return os.lseek(self.fileno(), 0, os.SEEK_END) if stat.S_ISBLK(status.st_mode) else status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Returns exactly `length` bytes from `offset` on.

        Raises:
            UserError: the file ends before that.
        """
        try:
            data = os.pread(self.fileno(), length, offset)
        except OSError as error:
            raise self._unreadable(error) from error
        if len(data) == length:
            return data
        result = bytearray(length)
        result[: len(data)] = data
        self.read_into(offset + len(data), memoryview(result)[len(data) :])
        return bytes(result)

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fills `view` with the bytes from `offset` on.

        Raises:
            UserError: the file ends before that.
        """
        end = offset + len(view)
        while view:
            try:
                count = os.preadv(self.fileno(), [view], offset)
            except OSError as error:
                raise self._unreadable(error) from error
            if not count:
                raise UserError(f"{self.path}: ends before byte {end}; it is truncated, or changed while read")
            view = view[count:]
            offset += count

    def _unreadable(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: cannot be read: {error.strerror}")

    def close(self) -> None:
        """Closes the descriptor; the next access opens the file again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class FileRange(FillingSource):
    """A range of an input file, from byte `start` on."""

    file: InputFile
    start: int = 0

    def read(self, offset: int, length: int) -> Buffer:
        return self.file.read(self.start + offset, length)

    def read_into(self, offset: int, view: memoryview) -> None:
        self.file.read_into(self.start + offset, view)

    def advanced(self, offset: int) -> Source:
        return FileRange(self.file, self.start + offset)


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of an image, with the first `length` bytes of `source` as its data."""

    offset: int
    length: int
    source: Source

    @property
    def end(self) -> int:
        """The offset of the first byte after the extent."""
        return self.offset + self.length

    def clipped(self, begin: int, end: int) -> Extent:
        """Returns the part of the extent in [begin, end), which must overlap it."""
        if begin <= self.offset and self.end <= end:
            return self
        start = max(begin, self.offset)
        source = self.source if start == self.offset else self.source.advanced(start - self.offset)
        return Extent(start, min(end, self.end) - start, source)

    def moved(self, distance: int) -> Extent:
        """Returns the extent moved by `distance` bytes."""
        return Extent(self.offset + distance, self.length, self.source) if distance else self


class Image:
    """An image: a size, and its extents in ascending order, not empty, not overlapping and within the size."""

    __slots__ = ("extents", "size")

    def __init__(self, size: int, extents: Iterable[Extent] = ()) -> None:
        """Creates an image.

        Args:
            size: in bytes.
            extents: the data, in any order; extents of length 0 are dropped.

        Raises:
            ValueError: two extents overlap, or one exceeds the image; a defect of a format writer, not a user's error.
        """
        self.size = size
        self.extents: Sequence[Extent] = tuple(sorted((e for e in extents if e.length), key=_START))
        end = 0
        for extent in self.extents:
            if extent.offset < end:
                raise ValueError(f"extent at {extent.offset} overlaps the one before it, which ends at {end}")
            end = extent.end
        if end > size:
            raise ValueError(f"extent ends at {end}, after the end of the image at {size}")

    @classmethod
    def from_bytes(cls, data: bytes) -> Image:
        """Returns an image with the content `data`."""
        return cls(len(data), [Extent(0, len(data), Data(data))])

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Image:
        """Returns an image with the content of a file, as one extent."""
        file = InputFile(path)
        return cls(file.size(), [Extent(0, file.size(), FileRange(file))])

    @classmethod
    def compose(cls, size: int, parts: Iterable[tuple[int, Image]]) -> Image:
        """Returns an image of `size` bytes with other images at the given offsets; they must not overlap."""
        return cls(size, (extent.moved(offset) for offset, image in parts for extent in image.extents))

    @property
    def data_size(self) -> int:
        """The number of bytes in extents."""
        return sum(extent.length for extent in self.extents)

    def overlapping(self, begin: int, end: int) -> Iterator[Extent]:
        """Yields the parts of extents in [begin, end), in order; finds the first one by binary search."""
        first = bisect.bisect_right(self.extents, begin, key=_START) - 1
        for index in range(max(first, 0), len(self.extents)):
            extent = self.extents[index]
            if extent.offset >= end:
                return
            if extent.end > begin:
                yield extent.clipped(begin, end)

    def slice(self, offset: int, length: int) -> Image:
        """Returns the image of `length` bytes from `offset` on; copies no data.

        Raises:
            ValueError: the range exceeds the image.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"bytes {offset} to {offset + length} are not inside an image of {self.size} bytes")
        return Image(length, (extent.moved(-offset) for extent in self.overlapping(offset, offset + length)))

    def resized(self, size: int) -> Image:
        """Returns the same extents in an image of another size; they must fit."""
        return Image(size, self.extents)

    def read(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes from `offset` on, with zeros for holes.

        Raises:
            ValueError: the range exceeds the image.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"bytes {offset} to {offset + length} are not inside an image of {self.size} bytes")
        before = bisect.bisect_right(self.extents, offset, key=_START)
        if before and offset + length <= (extent := self.extents[before - 1]).end:  # as for most headers
            return bytes(extent.source.read(offset - extent.offset, length))
        result = bytearray(length)
        self.read_into(offset, memoryview(result))
        return bytes(result)

    def read_into(self, offset: int, view: memoryview) -> None:
        """Reads the bytes from `offset` on into `view`, which must contain zeros, since holes are not written."""
        for extent in self.overlapping(offset, offset + len(view)):
            part = view[extent.offset - offset : extent.end - offset]
            if isinstance(extent.source, FillingSource):
                extent.source.read_into(0, part)
            else:
                part[:] = extent.source.read(0, extent.length)

    def chunks(self, most: int = 1 << 20) -> Iterator[tuple[int, Buffer]]:
        """Yields the data without holes as (offset, bytes), in order, at most `most` bytes at a time."""
        for extent in self.extents:
            for done in range(0, extent.length, most):
                length = min(most, extent.length - done)
                yield extent.offset + done, extent.source.read(done, length)
