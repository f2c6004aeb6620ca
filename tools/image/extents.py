"""The extent model: an image is a size and the places where its data comes from.

An image is described before a byte of it is written. A description is cheap: it holds no data but what a format
writer made itself (superblocks, tables, directories); file contents stay ranges of the input files. Slicing and
composing descriptions copies nothing. Bytes move once, when a sink (a file, a tar member, a hash) consumes the image.

All offsets and lengths are in bytes. What no extent covers is a hole and reads as zeros.
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

_START = attrgetter("offset")
_MOST_OPEN = 256

Buffer = bytes | memoryview


class Source(Protocol):
    """The bytes behind an extent: random access, and the same at every read."""

    def read(self, offset: int, length: int) -> Buffer:
        """Returns exactly `length` bytes from `offset`, both relative to the source's own start."""

    def advanced(self, offset: int) -> Source:
        """Returns a source whose start is `offset` bytes further in; copies nothing."""


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
    """One block of bytes that repeats without end, such as the padding of a bitmap or a hash of a hole."""

    block: bytes
    phase: int = 0

    def read(self, offset: int, length: int) -> Buffer:
        begin = (self.phase + offset) % len(self.block)
        repeats = -(-(begin + length) // len(self.block))
        return memoryview(self.block * repeats)[begin : begin + length]

    def advanced(self, offset: int) -> Source:
        return Pattern(self.block, (self.phase + offset) % len(self.block))


class InputFile:
    """A file that extents refer to; opened at first use and kept open, since many extents share it.

    The file must not change while a description refers to it. A file that turns out shorter than an extent says is
    an error, not a run of zeros. A tree may hold more files than a process may open, so the file that was opened
    longest ago is closed when too many are; reading files is for one thread at a time.
    """

    __slots__ = ("__weakref__", "_fd", "path")

    _opened: ClassVar[deque[weakref.ref[InputFile]]] = deque()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._fd: int | None = None

    def fileno(self) -> int:
        """Returns the file's descriptor, opening it where it isn't; valid until another file is opened.

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
            self._opened.append(weakref.ref(self))
            if len(self._opened) > _MOST_OPEN and (oldest := self._opened.popleft()()):
                oldest.close()
            return fd
        return self._fd

    def size(self) -> int:
        """Returns the file's size in bytes."""
        return os.fstat(self.fileno()).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Returns exactly `length` bytes from `offset`.

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
        """Closes the descriptor; the next use opens the file again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class FileRange:
    """A range of an input file, from byte `start` on."""

    file: InputFile
    start: int = 0

    def read(self, offset: int, length: int) -> Buffer:
        return self.file.read(self.start + offset, length)

    def advanced(self, offset: int) -> Source:
        return FileRange(self.file, self.start + offset)


@dataclass(frozen=True, slots=True)
class Extent:
    """`length` bytes at `offset` of an image, which are the first `length` bytes of `source`."""

    offset: int
    length: int
    source: Source

    @property
    def end(self) -> int:
        """The offset of the first byte after the extent."""
        return self.offset + self.length

    def clipped(self, begin: int, end: int) -> Extent:
        """Returns the part of the extent that lies in [begin, end), which must overlap it."""
        if begin <= self.offset and self.end <= end:
            return self
        start = max(begin, self.offset)
        source = self.source if start == self.offset else self.source.advanced(start - self.offset)
        return Extent(start, min(end, self.end) - start, source)

    def moved(self, distance: int) -> Extent:
        """Returns the same data `distance` bytes further on."""
        return Extent(self.offset + distance, self.length, self.source) if distance else self


class Image:
    """A size and the extents that hold data: ordered, not empty, not overlapping, inside the size."""

    __slots__ = ("extents", "size")

    def __init__(self, size: int, extents: Iterable[Extent] = ()) -> None:
        """Takes extents in any order.

        Args:
            size: in bytes.
            extents: where the data is; those of length 0 are dropped.

        Raises:
            ValueError: two extents overlap, or one lies outside the image; a format writer's mistake, not a user's.
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
        """Returns an image that is just `data`."""
        return cls(len(data), [Extent(0, len(data), Data(data))])

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Image:
        """Returns an image of a whole file, without holes."""
        file = InputFile(path)
        return cls(file.size(), [Extent(0, file.size(), FileRange(file))])

    @classmethod
    def compose(cls, size: int, parts: Iterable[tuple[int, Image]]) -> Image:
        """Returns an image of `size` bytes with other images placed at offsets, which must not overlap."""
        return cls(size, (extent.moved(offset) for offset, image in parts for extent in image.extents))

    @property
    def data_size(self) -> int:
        """The number of bytes that extents cover."""
        return sum(extent.length for extent in self.extents)

    def overlapping(self, begin: int, end: int) -> Iterator[Extent]:
        """Yields the extents' parts inside [begin, end), in order; time follows what is found, not the image."""
        first = bisect.bisect_right(self.extents, begin, key=_START) - 1
        for index in range(max(first, 0), len(self.extents)):
            extent = self.extents[index]
            if extent.offset >= end:
                return
            if extent.end > begin:
                yield extent.clipped(begin, end)

    def slice(self, offset: int, length: int) -> Image:
        """Returns `length` bytes from `offset` as an image of their own; copies nothing."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"bytes {offset} to {offset + length} are not inside an image of {self.size} bytes")
        return Image(length, (extent.moved(-offset) for extent in self.overlapping(offset, offset + length)))

    def resized(self, size: int) -> Image:
        """Returns the same data in an image of another size, which grows by a hole; data must still fit."""
        return Image(size, self.extents)

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes of the image, zeros for holes; for small reads, since the result is in memory.

        Raises:
            ValueError: the range is not inside the image.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"bytes {offset} to {offset + length} are not inside an image of {self.size} bytes")
        result = bytearray(length)
        self.read_into(offset, memoryview(result))
        return bytes(result)

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fills `view`, which holds zeros, with the bytes from `offset` on; holes are left as they are."""
        for extent in self.overlapping(offset, offset + len(view)):
            part = view[extent.offset - offset : extent.end - offset]
            if isinstance(extent.source, FileRange):
                extent.source.file.read_into(extent.source.start, part)
            else:
                part[:] = extent.source.read(0, extent.length)

    def chunks(self, most: int = 1 << 20) -> Iterator[tuple[int, Buffer]]:
        """Yields the data in order as (offset, bytes), at most `most` bytes at a time; holes are left out."""
        for extent in self.extents:
            for done in range(0, extent.length, most):
                length = min(most, extent.length - done)
                yield extent.offset + done, extent.source.read(done, length)
