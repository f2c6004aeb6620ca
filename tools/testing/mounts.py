"""Images mounted by the kernel, where that is permitted."""

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
    """Gives this process, and what it starts, mounts of their own, where that is permitted.

    Otherwise any process that copies the machine's mounts meanwhile, as a sandbox does, keeps what was mounted here in
    use: its file system is not written back when it is unmounted, and its loop device stays.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) == 0:
        subprocess.run([oracle("mount"), "--make-rprivate", "/"], check=True)


@contextmanager
def mounted(image: Path, options: str = "ro") -> Iterator[Path]:
    """Mounts an image, for as long as the context lasts, on a folder beside it, and returns that folder.

    It skips the calling test where mounting is not permitted, or fails it with ICOS_REQUIRE_MOUNTS=1 in the
    environment, so that a continuous build cannot lose the kernel's verdict unnoticed.

    Args:
        image: a raw image file.
        options: mount options (mount(8), -o) beside `loop`.
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
        # Lazily, since a test that failed may still have files open there.
        ask("umount", "--lazy", folder)


@contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """Mounts a file system of a size, such as `64M`, on a folder, which it returns, for as long as the context lasts.

    It skips or fails the calling test as `mounted` does.
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
