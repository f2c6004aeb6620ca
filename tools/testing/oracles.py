"""Finds and runs the independent tools that serve as test oracles: e2fsck, mtools, sgdisk, GNU tar and others.

A test whose oracle is not installed is skipped, and the reason names the Debian package to install. With
ICOS_REQUIRE_ORACLES=1 in the environment, as in CI, the test fails instead, so that no oracle is lost unnoticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

_PACKAGES = {
    "apparmor_parser": "apparmor",
    "apt-get": "apt",
    "as": "binutils",
    "blkid": "util-linux",
    "bsdtar": "libarchive-tools",
    "bwrap": "bubblewrap",
    "cryptsetup": "cryptsetup-bin",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "dump.erofs": "erofs-utils",
    "dumpe2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "fsck.erofs": "erofs-utils",
    "fsck.fat": "dosfstools",
    "getfattr": "attr",
    "gpg": "gnupg",
    "grub-editenv": "grub-common",
    "grub-fstest": "grub-common",
    "grub-mkimage": "grub-common",
    "grpck": "passwd",
    "ld": "binutils",
    "ldd": "libc-bin",
    "libvirtd": "libvirt-daemon",
    "losetup": "mount",
    "mattrib": "mtools",
    "mcopy": "mtools",
    "mdir": "mtools",
    "minfo": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.erofs": "erofs-utils",
    "mkfs.fat": "dosfstools",
    "mksquashfs": "squashfs-tools",
    "mkswap": "util-linux",
    "mshowfat": "mtools",
    "mtree": "mtree-netbsd",
    "mtype": "mtools",
    "nft": "nftables",
    "objcopy": "binutils",
    "objdump": "binutils",
    "partx": "util-linux",
    "pwck": "passwd",
    "qemu-img": "qemu-utils",
    "qemu-io": "qemu-utils",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "readelf": "binutils",
    "sbverify": "sbsigntool",
    "setfattr": "attr",
    "sfdisk": "fdisk",
    "sgdisk": "gdisk",
    "sha256sum": "coreutils",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "swaplabel": "util-linux",
    "swtpm": "swtpm",
    "systemd-analyze": "systemd",
    "systemd-id128": "systemd",
    "systemd-sysusers": "systemd",
    "tune2fs": "e2fsprogs",
    "umount": "mount",
    "unshare": "util-linux",
    "unsquashfs": "squashfs-tools",
    "veritysetup": "cryptsetup-bin",
    "virsh": "libvirt-clients",
    "visudo": "sudo",
}
"""Maps the name of a program to its Debian package, where the two differ."""

_SYSTEM_FOLDERS = "/usr/sbin:/sbin"
"""Debian's folders for administration tools, which an unprivileged user's PATH may lack."""


def oracle(name: str) -> str:
    """Returns the path of an oracle's executable; skips (or fails) the calling test if it is not installed.

    Args:
        name: name of the program, searched in PATH, /usr/sbin and /sbin.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}")
    if path is None:
        unavailable(f"{name} is missing: install the Debian package {_PACKAGES.get(name, name)}")
    return path


def unavailable(reason: str) -> NoReturn:
    """Skips the calling test because the machine lacks something; fails it if ICOS_REQUIRE_ORACLES is 1."""
    if os.environ.get("ICOS_REQUIRE_ORACLES") == "1":
        pytest.fail(f"{reason} (ICOS_REQUIRE_ORACLES=1)")
    pytest.skip(reason)


def ask(name: str, *arguments: str | os.PathLike[str], check: bool = True, **env: str) -> str:
    """Runs an oracle and returns its standard output followed by its standard error.

    Args:
        name: name of the program, as for `oracle`.
        arguments: the program's command line arguments.
        check: whether an exit status other than 0 fails the calling test.
        env: environment variables to set besides LC_ALL=C and TZ=UTC.
    """
    command = [oracle(name), *(os.fspath(argument) for argument in arguments)]
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC"} | env
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)} exits with {done.returncode}:\n{output}")
    return output
