"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator

from tools.core.errors import UserError

MODE = 0o644


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[int]:
    """Gives the descriptor of a new file that takes the place of `path` when the block ends without an exception.

    The file is made beside `path`, so that the last step is a rename. Its mode is 0644 whatever the umask is. After
    an exception nothing is left of it, and what stood at `path` still stands there. A symbolic link is followed.

    Raises:
        UserError: there can be no such file at `path`.
    """
    target = os.path.realpath(path)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(target).st_mode):
            raise UserError(f"{os.fspath(path)}: is not a regular file and cannot be replaced by the output")
    folder, name = os.path.split(target)
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{name[:200]}.", suffix=".tmp", dir=folder)
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: cannot be written: {error.strerror}") from error
    try:
        os.fchmod(fd, MODE)
        yield fd
        os.rename(temporary, target)
    except OSError as error:
        os.unlink(temporary)
        if error.filename is None or error.filename == temporary:
            raise UserError(f"{os.fspath(path)}: cannot be written: {error.strerror}") from error
        raise
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)


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
