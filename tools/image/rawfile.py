"""Raw image files: written with real holes, and read back as images."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from tools.core.errors import UserError
from tools.core.outputs import replacing
from tools.image.extents import Buffer, Extent, FileRange, Image, InputFile
from tools.image.holes import BLOCK_SIZE, trimmed

_BATCH = 1 << 20
"""How many bytes are gathered for one write."""

_COPY_AT_LEAST = 256 << 10
"""From which length on the kernel copies a range of a file; below, gathering costs less than a call for each range."""

_MOST_BUFFERS = 1000
"""IOV_MAX (limits.h) is 1024 on Linux."""

_ZEROS = bytes(BLOCK_SIZE)

_NOT_COPYABLE = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ETXTBSY, errno.EBADF}
"""What copy_file_range(2) says of files that have to be read and written instead."""

Progress = Callable[[int], None]
"""Told the number of bytes each time that some have been done."""


def no_progress(_count: int) -> None:
    """Takes no notice."""


def write_raw(image: Image, path: str | os.PathLike[str], progress: Progress = no_progress) -> None:
    """Writes an image as a raw file, in which the image's holes are holes of the file system.

    Args:
        image: what to write.
        path: the file, which appears when it is complete, with mode 0644.
        progress: told how many bytes of data were written.

    Raises:
        UserError: the file cannot be written, or an input cannot be read.
    """
    with replacing(path) as fd:
        os.ftruncate(fd, image.size)
        write_data(image, fd, 0, progress)


def write_data(image: Image, fd: int, base: int, progress: Progress = no_progress) -> None:
    """Writes the data of an image to a file in which the image begins at `base`, and nothing where it has holes.

    Zeros are written only between extents that are less than a block apart. The file must read as zeros there.
    """
    batch = _Batch(fd, progress)
    for extent in image.extents:
        source = extent.source
        if isinstance(source, FileRange) and extent.length >= _COPY_AT_LEAST:
            batch.flush()
            done = copy_range(source, extent.length, fd, base + extent.offset, progress)
            extent = extent.clipped(extent.offset + done, extent.end)  # noqa: PLW2901 -- what is left of it
        for done in range(0, extent.length, _BATCH):
            length = min(_BATCH, extent.length - done)
            batch.add(base + extent.offset + done, extent.source.read(done, length))
    batch.flush()


def copy_range(source: FileRange, length: int, fd: int, offset: int, progress: Progress = no_progress) -> int:
    """Lets the kernel copy a range of a file, which on some file systems shares the blocks; moves no file position.

    Returns:
        How many bytes were copied: fewer than `length`, and maybe none, where the files don't allow it.
    """
    done = 0
    while done < length:
        try:
            count = os.copy_file_range(source.file.fileno(), fd, length - done, source.start + done, offset + done)
        except OSError as error:
            if error.errno in _NOT_COPYABLE:
                break
            raise
        if not count:
            break
        done += count
        progress(count)
    return done


class _Batch:
    """Gathers what stands close together in a file and writes it at once."""

    def __init__(self, fd: int, progress: Progress) -> None:
        self._fd = fd
        self._progress = progress
        self._buffers: list[Buffer] = []
        self._begin = self._end = 0

    def add(self, offset: int, data: Buffer) -> None:
        """Takes the next bytes, which stand at `offset` of the file."""
        gap = offset - self._end
        if gap >= BLOCK_SIZE or self._end - self._begin >= _BATCH or len(self._buffers) >= _MOST_BUFFERS:
            self.flush()
        if not self._buffers:
            self._begin = offset
        elif gap:
            self._buffers.append(memoryview(_ZEROS)[:gap])
        self._buffers.append(data)
        self._end = offset + len(data)

    def flush(self) -> None:
        """Writes what was gathered."""
        buffers, offset = self._buffers, self._begin
        while buffers:
            count = os.pwritev(self._fd, buffers, offset)
            self._progress(count)
            offset += count
            while buffers and count >= len(buffers[0]):
                count -= len(buffers.pop(0))
            if count:
                buffers[0] = memoryview(buffers[0])[count:]


def open_raw(path: str | os.PathLike[str], block_size: int = BLOCK_SIZE) -> Image:
    """Returns a raw file as an image with a hole for every block of zeros, whether the file is sparse or not.

    Reads all of the file but its holes.

    Raises:
        UserError: it cannot be read, or isn't a regular file.
    """
    return trimmed(open_allocated(path), block_size)


def open_allocated(path: str | os.PathLike[str]) -> Image:
    """Returns a file as an image that has holes where the file system has them.

    That is for sinks that take every byte of the image; what depends on its holes needs `open_raw`.

    Raises:
        UserError: it cannot be read, or isn't a regular file.
    """
    file = InputFile(path)
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{file.path}: is not a regular file")
    return Image(status.st_size, _allocated(file, status.st_size))


def _allocated(file: InputFile, size: int) -> list[Extent]:
    """Returns what may hold data, as far as the file system says."""
    extents: list[Extent] = []
    end = 0
    while end < size:
        try:
            begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return extents
            begin = end
        try:
            end = min(os.lseek(file.fileno(), begin, os.SEEK_HOLE), size)
        except OSError:
            end = size
        extents.append(Extent(begin, end - begin, FileRange(file, begin)))
    return extents
