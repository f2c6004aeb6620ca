"""Writes images as sparse raw files, and opens raw files as images."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from tools.core.errors import UserError
from tools.core.outputs import replacing
from tools.image.extents import Buffer, Extent, FileRange, Image, InputFile
from tools.image.holes import BLOCK_SIZE, data_ranges, trimmed
from tools.image.running_digest import RunningDigest

_BATCH = 1 << 20
"""How many bytes are buffered for one write."""

_MIN_COPY_SIZE = 256 << 10
"""Minimum length in bytes for copy_file_range(2); below it, buffered writes are faster than a call per range."""

_MAX_BUFFERS = 1000
"""Maximum number of buffers for one pwritev(2); IOV_MAX (limits.h) is 1024 on Linux."""

_ZEROS = bytes(BLOCK_SIZE)

_NOT_COPYABLE = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ETXTBSY, errno.EBADF}
"""Errors of copy_file_range(2) for files that must be copied by read and write instead."""

Progress = Callable[[int], None]
"""A callback, called with the number of bytes processed since the last call."""


def no_progress(_count: int) -> None:
    """Ignores progress."""


def write_raw(
    image: Image,
    path: str | os.PathLike[str],
    progress: Progress = no_progress,
    *,
    secret: bool = False,
    digest: RunningDigest | None = None,
) -> None:
    """Writes an image as a sparse raw file.

    Args:
        image: the image.
        path: output file, created atomically.
        progress: called with the number of bytes written since the last call.
        secret: whether only the user of this process may read the file, as in `replacing`.
        digest: a new one, which gets all bytes of the file.

    Raises:
        UserError: the file cannot be written, or an input cannot be read.
    """
    with replacing(path, secret=secret) as fd:
        os.ftruncate(fd, image.size)
        write_data(image, fd, 0, progress, digest)
    if digest is not None:
        digest.pad(image.size)


def write_data(
    image: Image, fd: int, base: int, progress: Progress = no_progress, digest: RunningDigest | None = None
) -> None:
    """Writes the data of an image to a file, from offset `base` on; skips holes.

    Zeros are written only for holes of less than 4 KiB; the file must read as zeros in the others. A digest gets the
    data at its offsets in the image.
    """
    batch = _Batch(fd, progress)
    for extent in image.extents:
        source = extent.source
        if isinstance(source, FileRange) and extent.length >= _MIN_COPY_SIZE:
            batch.flush()
            done = copy_range(source, extent.length, fd, base + extent.offset, progress)
            if digest is not None:
                digest.add_range(extent.offset, source, done)
            extent = extent.clipped(extent.offset + done, extent.end)  # noqa: PLW2901 -- the rest
        for done in range(0, extent.length, _BATCH):
            length = min(_BATCH, extent.length - done)
            data = extent.source.read(done, length)
            batch.add(base + extent.offset + done, data)
            if digest is not None:
                digest.add(extent.offset + done, data)
    batch.flush()


def copy_range(source: FileRange, length: int, fd: int, offset: int, progress: Progress = no_progress) -> int:
    """Copies a range of a file with copy_file_range(2), which shares blocks where the file system can.

    Args:
        source: the range to copy from.
        length: in bytes.
        fd: the file to write.
        offset: offset in that file.
        progress: called with the number of bytes copied since the last call.

    Returns:
        The number of bytes copied: less than `length`, perhaps 0, if the files don't support it.
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
    """Buffers data with gaps of less than a block, and writes it with one system call."""

    def __init__(self, fd: int, progress: Progress) -> None:
        self._fd = fd
        self._progress = progress
        self._buffers: list[Buffer] = []
        self._begin = self._end = 0

    def add(self, offset: int, data: Buffer) -> None:
        """Adds the next data, for `offset` in the file."""
        gap = offset - self._end
        if gap >= BLOCK_SIZE or self._end - self._begin >= _BATCH or len(self._buffers) >= _MAX_BUFFERS:
            self.flush()
        if not self._buffers:
            self._begin = offset
        elif gap:
            self._buffers.append(memoryview(_ZEROS)[:gap])
        self._buffers.append(data)
        self._end = offset + len(data)

    def flush(self) -> None:
        """Writes the buffered data."""
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
    """Opens a raw file or block device as an image with a hole for each block of zeros, sparse or not.

    Reads the whole file except for its holes.

    Raises:
        UserError: the file cannot be read, or is neither a regular file nor a block device.
    """
    allocated = open_allocated(path)
    whole = Image.from_file(path)  # whole blocks, even where the file system has smaller holes
    ranges = data_ranges(allocated, block_size)
    blocks = Image(allocated.size, (part for begin, end in ranges for part in whole.overlapping(begin, end)))
    return trimmed(blocks, block_size)


def open_allocated(path: str | os.PathLike[str]) -> Image:
    """Opens a raw file or block device as an image with the holes that the file system has.

    For uses that depend only on the content; use `open_raw` where the result depends on the holes.

    Raises:
        UserError: the file cannot be read, or is neither a regular file nor a block device.
    """
    file = InputFile(path)
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise UserError(f"{file.path}: is neither a regular file nor a block device")
    return Image(file.size(), _allocated(file, file.size()))


def _allocated(file: InputFile, size: int) -> list[Extent]:
    """Returns the extents of a file outside of its holes, found with SEEK_DATA and SEEK_HOLE."""
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
