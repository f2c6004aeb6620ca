"""Extracts the files of packages, before dpkg can run."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.debian.paths import member_path

_MERGED_USR = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}
"""The symbolic links of a merged /usr. All supported releases have it, but not all have the links in a package."""


@dataclass(frozen=True, slots=True)
class OwnedDirectory:
    """A directory with another owner than root in a package; dpkg doesn't change existing directories."""

    path: str
    mode: int
    uid: int
    gid: int


def link_merged_usr(root: str) -> None:
    """Creates /bin, /lib, /lib64 and /sbin as symbolic links into /usr."""
    for name, target in _MERGED_USR.items():
        os.makedirs(os.path.join(root, target), mode=0o755, exist_ok=True)
        os.symlink(target, os.path.join(root, name))


def unpack(debs: Iterable[Deb], prefix: str) -> list[OwnedDirectory]:
    """Extracts the files of packages into a directory, owned by the current user.

    A symbolic link to a directory is kept if a package has a directory at its path. Later files replace earlier ones.
    The kernel follows symbolic links of packages, so this must only be called after a chroot.

    Args:
        debs: open packages.
        prefix: absolute path of an existing directory.

    Returns:
        The directories with another owner than root.

    Raises:
        UserError: a package is damaged, or has a member that isn't a directory, file or link.
    """
    directories: dict[str, OwnedDirectory] = {}
    for deb in debs:
        with deb.data() as archive:
            for entry in archive:
                path = _place(prefix, entry.name)
                if entry.isdir():
                    _make_directory(path, entry.mode)
                    if entry.uid or entry.gid:
                        directories[path] = OwnedDirectory(path, entry.mode, entry.uid, entry.gid)
                else:
                    _make_file(deb, archive, entry, path, prefix)
    return list(directories.values())


def _place(prefix: str, name: str) -> str:
    return os.path.join(prefix, member_path(name))


def _make_directory(path: str, mode: int) -> None:
    if not os.path.isdir(path):
        os.mkdir(path)
        os.chmod(path, mode)


def _make_file(deb: Deb, archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str, prefix: str) -> None:
    if os.path.lexists(path):
        if entry.issym() and os.path.isdir(path) and not os.path.islink(path):
            raise UserError(f"{deb.path}: {entry.name} is a link, but another package has a directory there")
        os.unlink(path)
    if entry.issym():
        os.symlink(entry.linkname, path)
    elif entry.islnk():
        os.link(_place(prefix, entry.linkname), path, follow_symlinks=False)
    elif content := archive.extractfile(entry):
        with open(path, "xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        os.chmod(path, entry.mode)
        os.utime(path, (entry.mtime, entry.mtime))  # dpkg doesn't replace an identical configuration file
    else:
        raise UserError(f"{deb.path}: {entry.name} is neither a directory nor a file nor a link")
