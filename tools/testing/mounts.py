"""Mounts images for tests, where that is permitted."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.testing.oracles import ask, oracle

_CLONE_NEWNS = 0x00020000  # unshare(2)


@functools.cache
def leave_shared_mounts() -> None:
    """Moves this process to its own mount namespace, where that is permitted.

    Otherwise another process that copies the machine's mounts meanwhile, such as a sandbox, keeps the file systems that
    are mounted here in use: they are not written back at the unmount, and their loop devices remain.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) == 0:
        subprocess.run([oracle("mount"), "--make-rprivate", "/"], check=True)


@contextmanager
def mounted(image: Path, options: str = "ro") -> Iterator[Path]:
    """Mounts an image on a directory next to it, which it returns; unmounts it at the end of the context.

    If mounting is not permitted, the calling test is skipped, or, with ICOS_REQUIRE_MOUNTS=1 in the environment, as in
    CI, fails, so that no check by the kernel is lost unnoticed.

    Args:
        image: raw image file.
        options: mount options (mount(8), -o) besides `loop`.
    """
    mount = oracle("mount")
    folder = image.with_name(f"{image.name}.mounted")
    folder.mkdir()
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        _not_permitted("it needs root and loop devices")
    leave_shared_mounts()
    command = [mount, "-o", f"loop,{options}", str(image), str(folder)]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"LC_ALL": "C"})
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode and ("ermission denied" in said or "failed to setup loop device" in said):
        _not_permitted(said)
    if done.returncode:
        pytest.fail(f"the kernel does not mount {image}: {said}")
    try:
        yield folder
    finally:
        # Lazily, since a failed test may still have files open.
        ask("umount", "--lazy", folder)


@contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """Mounts a tmpfs of a size, such as `64M`, on a directory, which it returns; unmounts it at the end of the context.

    Skips or fails the calling test like `mounted` if that is not permitted.
    """
    mount = oracle("mount")
    if os.geteuid() != 0:
        _not_permitted("it needs root")
    leave_shared_mounts()
    folder.mkdir()
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        _not_permitted(done.stderr.strip())
    try:
        yield folder
    finally:
        ask("umount", "--lazy", folder)


def _not_permitted(reason: str) -> None:
    message = f"mounting is not permitted here: {reason}; run this test as root outside of a sandbox"
    if os.environ.get("ICOS_REQUIRE_MOUNTS") == "1":
        pytest.fail(f"{message} (ICOS_REQUIRE_MOUNTS=1)")
    pytest.skip(message)
