"""Takes in the configuration that a machine is given on its first boot.

It comes as ic-bootstrap.tar on a FAT file system on another disk than the booted one. What it may hold is listed
below; everything else is refused, and so is anything but files and directories. It is unpacked beside its place in the
config store first and moved there when all of it was good; the mark CONFIGURED goes last. So a damaged archive changes
nothing, a power cut in between leads to another try, and a machine that has its configuration never takes a second.
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
"""70-guestos-bootstrap.rules has udev make links here."""

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
"""A folder with one file of SSH keys for each account that may log in."""

MOVED = {
    "ic_crypto": Path("/var/lib/ic/crypto"),
    "ic_registry_local_store": Path("/var/lib/ic/data/ic_registry_local_store"),
}
"""Folders that go to the store, and where to."""

_MOST_BYTES = 64 << 20
_MOST_MEMBERS = 100_000


def main() -> int:
    """Looks for a configuration and takes it in; returns the exit status: 0 as well where there is none."""
    marked = CONFIG / "CONFIGURED"
    if marked.exists():
        return 0
    try:
        for device in candidates():
            with _Mounted(device) as folder:
                archive = folder / ARCHIVE
                if not archive.is_file():
                    continue
                take_in(archive, CONFIG, MOVED)
                print(f"took in {ARCHIVE} from {device}")
                return 0
    except GuestError as error:
        print(f"<3>the bootstrap configuration is ignored: {error}", file=sys.stderr)
        return 0
    print("no bootstrap configuration is attached")
    return 0


def candidates() -> list[Path]:
    """Returns the devices with a FAT file system that are not on the booted disk, in the order of their names."""
    return sorted(CANDIDATES.glob("*"))


class _Mounted:
    """A file system, mounted read-only."""

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


def take_in(archive: Path, config: Path, moved: dict[str, Path]) -> None:
    """Puts the content of an archive in its places.

    Args:
        archive: the tar.
        config: the config store.
        moved: where folders go that do not stay in the config store.

    Raises:
        GuestError: the archive is damaged or holds what it may not; nothing was changed then. Or a place cannot be
            written to.
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
    """Returns the members, when all of them are what may be there."""
    size = 0
    members: list[tarfile.TarInfo] = []
    for member in tar:
        parts = PurePosixPath(member.name).parts
        if not parts:  # the entry for the top folder itself
            continue
        size += member.size
        if len(members) == _MOST_MEMBERS or size > _MOST_BYTES:
            raise GuestError(f"{tar.name!s}: holds more than {_MOST_MEMBERS} files or {_MOST_BYTES} bytes")
        if member.name.startswith("/") or ".." in parts or not _allowed(parts, member):
            raise GuestError(f"{tar.name!s}: holds {member.name!r}, which has no place in a configuration")
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
    """Refuses an archive that was cut: tarfile takes one that ends between two members for a whole one."""
    last = members[-1] if members else None
    end = last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE if last else 0
    assert tar.fileobj is not None
    tar.fileobj.seek(end)
    if tar.fileobj.read(2 * tarfile.BLOCKSIZE) != bytes(2 * tarfile.BLOCKSIZE):
        raise GuestError(f"{tar.name!s}: is cut off: it does not end as a tar does")


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
    """Moves a file or the content of a folder to its place, over what is there."""
    if source.is_dir():
        target.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            _replace(path, target / path.name)
        return
    new = target.with_name(f"{target.name}.new")
    shutil.copyfile(source, new)
    if target.parent.stat().st_uid:  # the folder of a service: it gets what is in it
        owner = target.parent.stat()
        os.chown(new, owner.st_uid, owner.st_gid)
    os.replace(new, target)
