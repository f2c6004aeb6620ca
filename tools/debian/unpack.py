"""Puts the files of packages into the current root directory, before there's a dpkg to do it."""

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
"""The links of a merged /usr. All supported releases have it, and not all have the links in a package."""


@dataclass(frozen=True, slots=True)
class OwnedDirectory:
    """A directory that a package gives to another owner than root; dpkg leaves existing directories as they are."""

    path: str
    mode: int
    uid: int
    gid: int


def link_merged_usr(root: str) -> None:
    """Makes /bin, /lib, /lib64 and /sbin links into /usr."""
    for name, target in _MERGED_USR.items():
        os.makedirs(os.path.join(root, target), mode=0o755, exist_ok=True)
        os.symlink(target, os.path.join(root, name))


def unpack(debs: Iterable[Deb], prefix: str) -> list[OwnedDirectory]:
    """Writes the files of packages below a directory, all owned by this process's user.

    A directory that stands as a link to a directory stays one. Later files replace earlier ones. Links of the packages
    are followed as the kernel does it, so this belongs in a root of its own.

    Args:
        debs: open packages.
        prefix: an absolute path that exists.

    Returns:
        The directories that are to have another owner than root.

    Raises:
        UserError: a package is damaged, or holds something that isn't a directory, file or link.
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
            raise UserError(f"{deb.path}: {entry.name} is a link, where another package has a directory")
        os.unlink(path)
    if entry.issym():
        os.symlink(entry.linkname, path)
    elif entry.islnk():
        os.link(_place(prefix, entry.linkname), path, follow_symlinks=False)
    elif content := archive.extractfile(entry):
        with open(path, "xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        os.chmod(path, entry.mode)
        os.utime(path, (entry.mtime, entry.mtime))  # dpkg leaves a configuration file that's the same as it is
    else:
        raise UserError(f"{deb.path}: {entry.name} is neither a directory nor a file nor a link")
