"""Exclusive access to a partition: write, zero, fsync, and read back past the page cache.

Regular files work as well; tests use them as partitions.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from guestos.errors import BusyError, GuestError

CHUNK = 1 << 20
"""The largest read or write, in bytes."""

ZEROS = bytes(CHUNK)

_BLKZEROOUT = 0x127F
_BLKGETSIZE64 = 0x80081272
"""Requests of include/uapi/linux/fs.h."""

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
"""Flags of include/uapi/linux/falloc.h."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Partition:
    """An open partition; use it in a `with` statement.

    Attributes:
        path: of its device.
        size: in bytes.
    """

    def __init__(self, path: str, *, exclusive: bool = True) -> None:
        """Opens and locks the device.

        Args:
            path: of the device.
            exclusive: whether it is opened exclusively, to be written. If not, it may be mounted, and is only read.

        Raises:
            BusyError: it is mounted, or another program uses it.
            GuestError: it cannot be opened.
        """
        self.path = path
        try:
            # O_EXCL without O_CREAT: EBUSY if the device is mounted or part of another device (open(2)).
            flags = os.O_EXCL if exclusive and stat.S_ISBLK(os.stat(path).st_mode) else 0
            self._file = os.open(path, flags | (os.O_RDWR if exclusive else os.O_RDONLY) | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise BusyError(f"{path}: is mounted or in use, so it is not written") from error
            raise GuestError(f"{path}: cannot be opened: {error.strerror}") from error
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(os.close, self._file)
            try:
                # The advisory lock that udev and partitioning tools honour: https://systemd.io/BLOCK_DEVICE_LOCKING
                if exclusive:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(f"{path}: is locked by another program, so it is not written") from error
            self.size = self._size()
            cleanup.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _size(self) -> int:
        status = os.fstat(self._file)
        if stat.S_ISBLK(status.st_mode):
            (size,) = struct.unpack("Q", fcntl.ioctl(self._file, _BLKGETSIZE64, bytes(8)))
            return int(size)
        return status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Reads a range, by way of the page cache.

        Args:
            offset: of the range, in bytes.
            length: of the range, in bytes.

        Raises:
            GuestError: the range cannot be read, or is not on the partition.
        """
        try:
            data = os.pread(self._file, length, offset)
        except OSError as error:
            raise self._problem("read", offset, error) from error
        if len(data) != length:
            raise GuestError(f"{self.path}: ends at byte {offset + len(data)}")
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Writes data at an offset, in bytes. It is only certain to be on the disk after `sync`.

        Raises:
            GuestError: the data cannot be written.
        """
        try:
            done = os.pwrite(self._file, data, offset)
        except OSError as error:
            raise self._problem("written", offset, error) from error
        if done != len(data):
            raise GuestError(f"{self.path}: only {done} of {len(data)} bytes were written at byte {offset}")

    def zero(self, offset: int, length: int) -> None:
        """Zeroes a range: discards it if the device supports that, and writes zeros if not.

        Args:
            offset: of the range, in bytes.
            length: of the range, in bytes.

        Raises:
            GuestError: the range cannot be zeroed.
        """
        try:
            punch_hole(self._file, offset, length)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL, errno.ENOSYS):
                raise self._problem("zeroed", offset, error) from error
            self._write_zeros(offset, length)

    def _write_zeros(self, offset: int, length: int) -> None:
        if stat.S_ISBLK(os.fstat(self._file).st_mode):
            try:
                fcntl.ioctl(self._file, _BLKZEROOUT, struct.pack("QQ", offset, length))
            except OSError as error:
                raise self._problem("zeroed", offset, error) from error
            return
        for begin in range(offset, offset + length, CHUNK):
            self.write(begin, ZEROS[: offset + length - begin])

    def sync(self) -> None:
        """Fsyncs the device.

        Raises:
            GuestError: it failed; any of the data that was written may be lost.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._problem("written", None, error) from error

    def read_back(self, begin: int, end: int) -> Iterator[bytes]:
        """Reads a range from the disk, bypassing the page cache (O_DIRECT), so that lost writes are detected.

        Args:
            begin: offset of the range in bytes, a multiple of CHUNK.
            end: offset of its end in bytes.

        Yields:
            The data, in chunks of CHUNK bytes; the last one may be shorter.

        Raises:
            GuestError: the range cannot be read.
        """
        with contextlib.ExitStack() as cleanup:
            file = self._open_direct()
            cleanup.callback(os.close, file)
            buffer = mmap.mmap(-1, CHUNK)  # page-aligned, as O_DIRECT requires
            for offset in range(begin, end, CHUNK):
                length = min(CHUNK, end - offset)
                try:
                    count = os.preadv(file, [buffer], offset)
                except OSError as error:
                    raise self._problem("read back", offset, error) from error
                if count < length:
                    raise GuestError(f"{self.path}: ends at byte {offset + count}")
                yield buffer[:length]

    def _open_direct(self) -> int:
        path = f"/proc/self/fd/{self._file}"
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise self._problem("read back", None, error) from error
        # Only in tests: a regular file on a file system without O_DIRECT. Drop its pages from the cache instead.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        return file

    def _problem(self, what: str, offset: int | None, error: OSError) -> GuestError:
        where = "" if offset is None else f" at byte {offset}"
        return GuestError(f"{self.path}: cannot be {what}{where}: {error.strerror}")


def punch_hole(file: int, offset: int, length: int) -> None:
    """Deallocates a range of an open file or device, which then reads as zeros.

    Args:
        file: descriptor of the file or device.
        offset: of the range, in bytes.
        length: of the range, in bytes.

    Raises:
        OSError: it failed; EOPNOTSUPP if the file system or device does not support it.
    """
    if _libc.fallocate(file, _PUNCH_HOLE_KEEP_SIZE, offset, length) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
