"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator

from tools.core.errors import UserError
from tools.core.folders import open_parent, others_may_replace
from tools.core.inputs import mode_for_readers

_MAX_NAME = 50
"""How many characters of an output's name its temporary file has; of 4 bytes each, they are far below NAME_MAX."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, secret: bool = False) -> Iterator[int]:
    """Gives the descriptor of a new file that takes the place of `path` when the block ends without an exception.

    The file is made beside `path`, so that the last step is a rename. Its mode follows the umask, but gives nobody a
    right who may not read the inputs of the command (`tools.core.inputs`); that of a secret is 0600. Both are so from
    before its first byte is written. After an exception nothing is left of it, and what stood at `path` still
    stands there. A symbolic link is followed, unless somebody else made it in a folder that others may write.

    Args:
        path: of the output.
        secret: whether nobody else may read it, such as a private key, or what contains one.

    Raises:
        UserError: there can be no such file at `path`; or it is secret, and others may exchange files of its folder.
    """
    try:
        folder, name = open_parent(path)
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: cannot be written: {error.strerror}") from error
    try:
        _check_place(folder, name, os.fspath(path), secret)
        yield from _replacing(folder, name, os.fspath(path), 0o600 if secret else 0o666)
    finally:
        os.close(folder)


def _check_place(folder: int, name: str, path: str, secret: bool) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise UserError(f"{path}: is not a regular file and cannot be replaced by the output")
    if secret and others_may_replace(folder):
        raise UserError(
            f"{path}: is to be secret, and other users may exchange files of its folder; choose a folder that you own "
            "and that only you may write"
        )


def _replacing(folder: int, name: str, path: str, mode: int) -> Iterator[int]:
    temporary = f".{name[:_MAX_NAME]}.{os.urandom(4).hex()}.tmp"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, mode_for_readers(mode, _group_in(folder)), dir_fd=folder)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        yield fd
        _restrict(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        os.unlink(temporary, dir_fd=folder)
        if error.filename is None or error.filename == temporary:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from error
        raise
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    finally:
        os.close(fd)


def _group_in(folder: int) -> int:
    """Returns the group of files that this process makes in an open folder."""
    status = os.fstat(folder)
    return status.st_gid if status.st_mode & stat.S_ISGID else os.getegid()


def _restrict(fd: int) -> None:
    """Takes rights from an output whose block read further inputs."""
    status = os.fstat(fd)
    mode = stat.S_IMODE(status.st_mode)
    if (restricted := mode_for_readers(mode, status.st_gid)) != mode:
        os.fchmod(fd, restricted)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Writes all of `data` at the descriptor's position, however little the kernel takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_to_stdout(parts: Iterable[bytes | memoryview]) -> None:
    """Writes bytes to standard output; a reader that closes it early has seen enough, which is no error."""
    sys.stdout.flush()
    try:
        for part in parts:
            write_all(sys.stdout.fileno(), part)
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())  # so that nothing fails when Python flushes it at the end
        os.close(null)
