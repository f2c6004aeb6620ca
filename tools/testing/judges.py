"""The independent tools that judge in tests what the writers of this project make.

A test that needs a tool which is not there is skipped, and says what to install. With ICOS_REQUIRE_JUDGES=1 in the
environment it fails instead, so that a continuous build cannot lose a judge unnoticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

_PACKAGES = {
    "apt-get": "apt",
    "blkid": "util-linux",
    "bsdtar": "libarchive-tools",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "dumpe2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "fsck.fat": "dosfstools",
    "getfattr": "attr",
    "gpg": "gnupg",
    "grub-editenv": "grub-common",
    "grub-fstest": "grub-common",
    "grpck": "passwd",
    "ldd": "libc-bin",
    "losetup": "mount",
    "mattrib": "mtools",
    "mcopy": "mtools",
    "mdir": "mtools",
    "minfo": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "mshowfat": "mtools",
    "mtree": "mtree-netbsd",
    "mtype": "mtools",
    "partx": "util-linux",
    "pwck": "passwd",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "readelf": "binutils",
    "setfattr": "attr",
    "sfdisk": "fdisk",
    "sgdisk": "gdisk",
    "sha256sum": "coreutils",
    "tune2fs": "e2fsprogs",
    "umount": "mount",
    "veritysetup": "cryptsetup-bin",
}
"""The Debian package of each judge whose package has another name."""

_SYSTEM_FOLDERS = "/usr/sbin:/sbin"
"""Where Debian keeps tools for the administrator, which are not on everyone's PATH."""


def judge(name: str) -> str:
    """Returns the path of a judge, or skips the calling test.

    Args:
        name: the program's name.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}")
    if path is None:
        unavailable(f"{name} is missing: install the Debian package {_PACKAGES.get(name, name)}")
    return path


def unavailable(reason: str) -> NoReturn:
    """Skips the calling test for something that the machine lacks, or fails it with ICOS_REQUIRE_JUDGES=1."""
    if os.environ.get("ICOS_REQUIRE_JUDGES") == "1":
        pytest.fail(f"{reason} (ICOS_REQUIRE_JUDGES=1)")
    pytest.skip(reason)


def ask(name: str, *arguments: str | os.PathLike[str], check: bool = True, **env: str) -> str:
    """Runs a judge and returns what it says: standard output, then standard error.

    Args:
        name: as for `judge`.
        arguments: the judge's own.
        check: whether an exit code other than 0 fails the calling test.
        env: variables that are added to a plain environment (C locale, UTC).
    """
    command = [judge(name), *(os.fspath(argument) for argument in arguments)]
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC"} | env
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)} exits with {done.returncode}:\n{said}")
    return said
