"""Imports the configuration of a machine from a bootstrap medium, once, on its first boot.

The medium is a FAT file system on any disk but the booted one, with the file ic-bootstrap.tar. The lists below name the
members that the archive may have; other members, links and devices are refused. The archive is first unpacked into a
temporary directory in the config store. If it is valid, its files are moved to their places, and then the file
CONFIGURED is created. So a damaged archive changes nothing, a power cut before CONFIGURED exists leads to a retry at
the next boot, and a machine with that file ignores every later medium.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

from guestos.errors import GuestError

CONFIG = Path("/boot/config")
MOUNT_POINT = Path("/run/guestos/bootstrap")
ARCHIVE = "ic-bootstrap.tar"
CANDIDATES = Path("/dev/guestos/bootstrap")
"""Directory with links to the devices that may be a bootstrap medium; made by udev (70-guestos-bootstrap.rules)."""

FILES = (
    "network.conf",
    "nns.conf",
    "nns_public_key.pem",
    "log.conf",
    "backup.conf",
    "replica_log_debug_overrides.conf",
    "socks_proxy.conf",
    "malicious_behavior.conf",
)
"""Files that stay in the config store."""

ACCOUNT_KEYS = "accounts_ssh_authorized_keys"
"""A directory with a file of public SSH keys for each account that may log in; the file has the account's name."""

MOVED = {
    "ic_crypto": Path("/var/lib/ic/crypto"),
    "ic_registry_local_store": Path("/var/lib/ic/data/ic_registry_local_store"),
}
"""Directories that go to the store instead of the config store, and their places there."""

_MOST_BYTES = 64 << 20
_MOST_MEMBERS = 100_000


def main() -> int:
    """Imports the configuration from the first medium that has one.

    Returns:
        The exit status: always 0. A machine without a configuration, or with an invalid one, continues to boot.
    """
    marked = CONFIG / "CONFIGURED"
    if marked.exists():
        return 0
    try:
        for device in candidates():
            with _Mounted(device) as folder:
                archive = folder / ARCHIVE
                if not archive.is_file():
                    continue
                import_archive(archive, CONFIG, MOVED)
                print(f"imported {ARCHIVE} from {device}")
                return 0
    except GuestError as error:
        print(f"<3>the bootstrap configuration is ignored: {error}", file=sys.stderr)
        return 0
    print("no bootstrap configuration is attached")
    return 0


def candidates() -> list[Path]:
    """Returns the devices that have a FAT file system and are not on the booted disk, sorted by name."""
    return sorted(CANDIDATES.glob("*"))


class _Mounted:
    """Context manager that mounts a FAT file system read-only; its value is the mount point."""

    def __init__(self, device: Path) -> None:
        self._device = device

    def __enter__(self) -> Path:
        MOUNT_POINT.mkdir(parents=True, exist_ok=True)
        options = "ro,nosuid,nodev,noexec"
        command = ["/usr/bin/mount", "-t", "vfat", "-o", options, os.fspath(self._device), os.fspath(MOUNT_POINT)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise GuestError(f"{self._device}: cannot be mounted: {result.stderr.strip()}")
        return MOUNT_POINT

    def __exit__(self, *_: object) -> None:
        subprocess.run(["/usr/bin/umount", os.fspath(MOUNT_POINT)], check=False)


def import_archive(archive: Path, config: Path, moved: dict[str, Path]) -> None:
    """Unpacks an archive, moves its files to their places, and creates CONFIGURED.

    Args:
        archive: path of the tar.
        config: path of the config store.
        moved: directories of the archive that do not go to the config store, and their places.

    Raises:
        GuestError: the archive is damaged or has a member that is not allowed, in which case nothing was changed; or a
            file cannot be written.
    """
    unpacked = config / "bootstrap.new"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        unpacked.mkdir(mode=0o700)
        _unpack(archive, unpacked)
        for path in sorted(unpacked.iterdir()):
            _replace(path, moved.get(path.name, config / path.name))
        os.sync()
        (config / "CONFIGURED").touch(mode=0o644)
        os.sync()
    except OSError as error:
        raise GuestError(f"{error.filename or archive}: {error.strerror}") from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _unpack(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive, "r:") as tar:
            members = _checked(tar)
            for member in members:
                _unpack_member(tar, member, target)
    except (tarfile.TarError, EOFError) as error:
        raise GuestError(f"{archive}: is damaged: {error}") from error


def _checked(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Returns the members of an archive, after a check that each of them is allowed.

    Raises:
        GuestError: a member is not allowed, there are too many, or the archive is truncated.
    """
    size = 0
    members: list[tarfile.TarInfo] = []
    for member in tar:
        parts = PurePosixPath(member.name).parts
        if not parts:  # the entry of the top directory itself
            continue
        size += member.size
        if len(members) == _MOST_MEMBERS or size > _MOST_BYTES:
            raise GuestError(f"{tar.name!s}: has more than {_MOST_MEMBERS} files or {_MOST_BYTES} bytes")
        if member.name.startswith("/") or ".." in parts or not _allowed(parts, member):
            raise GuestError(f"{tar.name!s}: has {member.name!r}, which is not allowed in a configuration")
        members.append(member)
    _check_end(tar, members)
    return members


def _allowed(parts: tuple[str, ...], member: tarfile.TarInfo) -> bool:
    if not member.isreg() and not member.isdir():
        return False
    if len(parts) == 1 and member.isreg():
        return parts[0] in FILES
    if parts[0] == ACCOUNT_KEYS:
        return len(parts) == 2 if member.isreg() else len(parts) == 1
    return parts[0] in MOVED


def _check_end(tar: tarfile.TarFile, members: list[tarfile.TarInfo]) -> None:
    """Refuses a truncated archive: tarfile accepts one that ends between two members."""
    last = members[-1] if members else None
    end = last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE if last else 0
    assert tar.fileobj is not None
    tar.fileobj.seek(end)
    if tar.fileobj.read(2 * tarfile.BLOCKSIZE) != bytes(2 * tarfile.BLOCKSIZE):
        raise GuestError(f"{tar.name!s}: is truncated: the two zero blocks at the end of a tar are missing")


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    path = target / member.name
    if member.isdir():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    with source, path.open("xb") as file:
        shutil.copyfileobj(source, file)


def _replace(source: Path, target: Path) -> None:
    """Moves a file, or the content of a directory, to a path, and replaces files that exist there."""
    if source.is_dir():
        target.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            _replace(path, target / path.name)
        return
    new = target.with_name(f"{target.name}.new")
    shutil.copyfile(source, new)
    if target.parent.stat().st_uid:  # the directory of a service, which becomes the owner of the file as well
        owner = target.parent.stat()
        os.chown(new, owner.st_uid, owner.st_gid)
    os.replace(new, target)
