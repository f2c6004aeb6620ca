"""Checksum files: the SHA-256 of a file, in the format of sha256sum(1)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from tools.core.outputs import replacing, write_all
from tools.core.worker import is_worker
from tools.image.running_digest import RunningDigest

SUFFIX = ".sha256"

ATTRIBUTE = "user.rules_icos.sha256"
"""The extended attribute with the SHA-256 of an output, 32 bytes, which .bazelrc names to Bazel."""


def checksum_line(digest: bytes, name: str) -> bytes:
    """Returns the line that `sha256sum --check` reads.

    Args:
        digest: the SHA-256 of the file, 32 bytes.
        name: of the file, relative to the folder that the check is made in.
    """
    return f"{digest.hex()}  {name}\n".encode()


@contextlib.contextmanager
def checksum_beside(path: str, wanted: bool) -> Iterator[RunningDigest | None]:
    """Gives a digest for a file that the block writes at `path`; then writes `PATH.sha256` with it.

    After an exception, what stood at `PATH.sha256` still stands there.

    Args:
        path: of the file that the block writes.
        wanted: whether there is to be a checksum file; else there is no digest either.

    Raises:
        UserError: the checksum file can't be written.
    """
    if not wanted:
        yield None
        return
    digest = RunningDigest()
    with replacing(path + SUFFIX) as fd:
        yield digest
        write_all(fd, checksum_line(digest.digest(), os.path.basename(path)))
        _note_for_bazel(path, digest)


@contextlib.contextmanager
def digest_for_bazel(path: str) -> Iterator[RunningDigest | None]:
    """Gives a digest for a file that the block writes at `path`, if this is a worker; then notes it for Bazel."""
    if not is_worker():
        yield None
        return
    digest = RunningDigest()
    yield digest
    _note_for_bazel(path, digest)


def _note_for_bazel(path: str, digest: RunningDigest) -> None:
    """Gives an output of a worker its SHA-256 as an extended attribute, so that Bazel doesn't read it once more.

    Elsewhere there is no attribute, as nobody would renew it. On file systems without them, Bazel reads the file.
    """
    if is_worker():
        with contextlib.suppress(OSError):
            os.setxattr(path, ATTRIBUTE, digest.digest())
