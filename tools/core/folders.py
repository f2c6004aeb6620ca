"""Opens the folder of a file by its descriptor, without following symbolic links that a stranger may have made."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from tools.core.errors import UserError

_MAX_LINKS = 40  # as Linux has it, path_resolution(7)
_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_parent(path: str | os.PathLike[str]) -> tuple[int, str]:
    """Opens the folder that a file is in, or is to be in, after all symbolic links on the way were followed.

    The kernel's `fs.protected_symlinks` guards only open(2) of a link itself; here no component of the path may be
    a link of somebody else in a folder that others may write, whether it has the sticky bit or not.

    Args:
        path: of the file; it need not exist.

    Returns:
        A descriptor of the folder (`O_PATH`), and the name of the file in it, which is no symbolic link.

    Raises:
        UserError: a link is somebody else's, or the path has no file name at its end.
        OSError: a folder does not exist or cannot be searched.
    """
    given = os.fspath(path)
    folder = os.open("/" if given.startswith("/") else ".", _FLAGS)
    try:
        parts = _parts(given)
        links = 0
        while True:
            if not parts:
                raise UserError(f"{given or repr(given)}: is not a regular file and cannot be replaced by the output")
            name = parts.pop(0)
            target = None if name == ".." else _link(folder, name, given)
            if target is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                parts = _parts(target) + parts
                if target.startswith("/"):
                    folder = _moved(folder, "/")
            elif parts or name == "..":
                folder = _moved(folder, name)
            else:
                return folder, name
    except BaseException:
        os.close(folder)
        raise


def others_may_replace(folder: int) -> bool:
    """Returns whether users besides root and the one of this process may rename or remove files of an open folder.

    Members of its group don't count: with a umask of 002 every folder is writable for its owner's own group.
    """
    status = os.fstat(folder)
    return status.st_uid not in _trusted() or (status.st_mode & (stat.S_IWOTH | stat.S_ISVTX)) == stat.S_IWOTH


def private_folder(path: str | os.PathLike[str]) -> Path:
    """Returns the absolute path of a folder whose files no other user can replace; makes it, with mode 0700.

    Args:
        path: of the folder; symbolic links are followed.

    Raises:
        UserError: the folder is another user's, or others may write it, or a folder above it lets them exchange it.
        OSError: it cannot be made.
    """
    folder = Path(path).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in (folder, *folder.parents):
        status = each.stat()
        if status.st_uid not in _trusted():
            raise UserError(f"{each}: belongs to user {status.st_uid}; choose a folder that you own")
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH if each == folder else stat.S_IWOTH)
        if shared and (each == folder or not status.st_mode & stat.S_ISVTX):
            raise UserError(f"{each}: other users may write it; choose another folder, or change its mode")
    return folder


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _moved(folder: int, name: str) -> int:
    inner = os.open(name, _FLAGS, dir_fd=folder)
    os.close(folder)
    return inner


def _link(folder: int, name: str, given: str) -> str | None:
    """Returns where a symbolic link leads to, None for anything else."""
    try:
        link = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(link)
        if not stat.S_ISLNK(status.st_mode):
            return None
        target = os.readlink("", dir_fd=link)  # of the same link, whatever is at the name by now
    finally:
        os.close(link)
    owner = status.st_uid
    if os.fstat(folder).st_mode & stat.S_IWOTH and owner not in _trusted():
        raise UserError(
            f"{given}: {name} on the way is a symbolic link that user {owner} made in a folder that all users may "
            "write; name the file that is meant, or another folder"
        )
    return target


def _trusted() -> tuple[int, int]:
    return 0, os.geteuid()
