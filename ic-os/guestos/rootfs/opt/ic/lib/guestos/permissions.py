"""Sets the owners and modes of the node's data, at every boot.

Data that a bootstrap medium or an older release has left belongs to the wrong accounts, for which it can't be read. The
directories belong to services, which may put anything there, while this runs as root: so every name is opened below its
directory, and neither symbolic links nor mount points are followed.

A key that an older release kept in the config store is copied to where the programs of the release look for it.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from guestos import folders
from guestos.errors import GuestError
from guestos.regular_file import open_regular

STORE = "/var/lib/ic"

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # type: ignore[attr-defined,unused-ignore]
_FOLDER_MODE = 0o2750
_FILE_MODE = 0o640
_PROGRAM_MODE = 0o750
_LOST_FOUND = "lost+found"
_MAX_RESTORED = 1 << 16
_DEEPEST = 100
"""Levels of directories, far more than the replica's. Each holds a descriptor open."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The owner of a directory with all that is below it, or of one file.

    Attributes:
        path: below the store; the first component is a volume.
        user: name of the owner.
        group: name of the group.
        mode: None for a directory, which is created if it is missing; else the mode of a file, which need not exist.
        secret: whether the group may not read the files of a directory.
        former: where older releases kept a file; if it is missing, it is copied from there.
    """

    path: str
    user: str
    group: str
    mode: int | None = None
    secret: bool = False
    former: str = ""


RULES = (
    Rule("backup", "ic-replica", "backup"),
    Rule("crypto", "ic-csp-vault", "ic-csp-vault", secret=True),
    Rule("data/cups", "ic-replica", "nonconfidential"),
    Rule("data/ic_consensus_pool", "ic-replica", "nonconfidential"),
    Rule("data/ic_registry_local_store", "ic-replica", "ic-registry-local-store"),
    Rule("data/ic_state", "ic-replica", "nonconfidential"),
    Rule("data/ic_state/page_deltas", "ic-replica", "nonconfidential"),
    Rule("data/images", "ic-replica", "nonconfidential"),
    Rule("data/orchestrator", "ic-replica", "nonconfidential"),
    Rule("data/recovery", "admin", "nonconfidential"),
    Rule("data/nns_public_key.pem", "ic-replica", "nonconfidential", 0o644, former="/boot/config/nns_public_key.pem"),
    Rule("data/node_operator_private_key.pem", "ic-replica", "ic-replica", 0o400),
)


def main(store: str = STORE, rules: tuple[Rule, ...] = RULES) -> int:
    """Applies all rules and returns the exit status: 1 if one of them cannot be applied."""
    status = 0
    for rule in rules:
        try:
            apply(store, rule)
        except GuestError as error:
            print(f"<3>setup-permissions.sh: error: {error}", file=sys.stderr)
            status = 1
    return status


def apply(store: str, rule: Rule) -> None:
    """Sets the owner and mode of what a rule names.

    Raises:
        GuestError: an account does not exist, the path leads over a link, or the kernel refuses a change.
    """
    path = os.path.join(store, rule.path)
    try:
        owner = pwd.getpwnam(rule.user).pw_uid, grp.getgrnam(rule.group).gr_gid
    except KeyError as error:
        raise GuestError(f"{path}: its owner {rule.user}:{rule.group} does not exist on this system") from error
    try:
        if rule.mode is None:
            with _opened(store, rule.path) as folder:
                _Walk(owner, os.fstat(folder).st_dev, rule.secret).folder(folder)
        else:
            parent, name = os.path.split(rule.path)
            with _opened(store, parent) as folder, contextlib.suppress(FileNotFoundError):
                if rule.former:
                    _restore(folder, name, owner, rule)
                _Walk(owner, os.fstat(folder).st_dev).file(folder, name, rule.mode)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise GuestError(f"{path}: its owner and mode cannot be set: {error.strerror}{where}") from error


def _restore(folder: int, name: str, owner: folders.Owner, rule: Rule) -> None:
    """Copies a file from where older releases kept it, unless there is anything of its name, such as a link."""
    if name in os.listdir(folder) or not os.path.lexists(rule.former):
        return
    with open(open_regular(rule.former), "rb") as file:
        data = file.read(_MAX_RESTORED + 1)
    if len(data) > _MAX_RESTORED:
        raise GuestError(f"{rule.former}: has more than {_MAX_RESTORED} bytes")
    folders.write(folder, name, [data], owner, rule.mode or 0)


@contextlib.contextmanager
def _opened(store: str, path: str) -> Iterator[int]:
    """Opens a directory below the store, without following links; creates what is missing of it."""
    descriptor = os.open(store, _OPEN_FOLDER)
    try:
        for name in path.split("/"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=descriptor)
            below = os.open(name, _OPEN_FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Sets the owner and modes of everything on one file system.

    Attributes:
        owner: user and group.
        device: of the file system.
        secret: whether the group may not read files.
    """

    owner: tuple[int, int]
    device: int
    secret: bool = False

    def folder(self, folder: int, depth: int = 0) -> None:
        """Changes an open directory and everything below it."""
        if depth == _DEEPEST:
            raise OSError(errno.ELOOP, f"more than {_DEEPEST} levels of directories")
        _change(folder, os.fstat(folder), self.owner, _FOLDER_MODE)
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if name != _LOST_FOUND:  # of the file system, not of the service
                with contextlib.suppress(FileNotFoundError):  # deleted by its service in the meantime
                    self._entry(folder, name, depth)

    def file(self, folder: int, name: str, mode: int) -> None:
        """Changes a regular file in an open directory; links and others stay as they are."""
        with _closed(os.open(name, _OPEN_PATH, dir_fd=folder)) as entry:
            status = os.fstat(entry)
            if stat.S_ISREG(status.st_mode) and status.st_dev == self.device:
                _change(entry, status, self.owner, mode)

    def _entry(self, folder: int, name: str, depth: int) -> None:
        with _closed(os.open(name, _OPEN_PATH, dir_fd=folder)) as entry:
            status = os.fstat(entry)
            if status.st_dev != self.device:
                return
            if stat.S_ISREG(status.st_mode):
                mode = _PROGRAM_MODE if status.st_mode & 0o111 else _FILE_MODE
                _change(entry, status, self.owner, mode & 0o700 if self.secret else mode)
                return
            if not stat.S_ISDIR(status.st_mode):
                return
        # Opened by its name again; if that leads elsewhere now, this raises, or the new directory is changed.
        with _closed(os.open(name, _OPEN_FOLDER, dir_fd=folder)) as below:
            if os.fstat(below).st_dev == self.device:
                self.folder(below, depth + 1)


@contextlib.contextmanager
def _closed(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _change(descriptor: int, status: os.stat_result, owner: tuple[int, int], mode: int) -> None:
    """Sets owner and mode of what is open, if they differ; the file may be open by O_PATH alone."""
    path = f"/proc/self/fd/{descriptor}"
    if (status.st_uid, status.st_gid) != owner:
        os.chown(path, *owner)
    if stat.S_IMODE(status.st_mode) != mode or (status.st_uid, status.st_gid) != owner:
        os.chmod(path, mode)


if __name__ == "__main__":
    sys.exit(main())
