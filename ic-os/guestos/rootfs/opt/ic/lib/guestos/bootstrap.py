"""Imports the configuration of a machine from a bootstrap medium, once, on its first boot.

The medium is a FAT file system on any disk but the booted one, with the file ic-bootstrap.tar. MEMBERS lists what the
archive may have, and where it goes; members with other names, and those that the variant does not take
(bootstrap_policy.py), are left out with a warning. Where the image has bootstrap keys, the archive must be signed
(bootstrap_signature.py). The archive is read twice. The first time it is checked as a whole,
so a damaged one changes nothing. The second time its files are written to their places, and nowhere else, since some
are secret. Then the file CONFIGURED is created. A power cut before that leads to a retry at the next boot, and a
machine with that file ignores every later medium. A machine without a medium gets the file, too.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from guestos import bootstrap_policy, bootstrap_signature, durable, folders
from guestos.bootstrap_archive import Archive, Member
from guestos.bootstrap_policy import EVERYTHING, Policy, read_policy
from guestos.environment import Environment
from guestos.errors import GuestError

CONFIG = Path("/boot/config")
MOUNT_POINT = Path("/run/guestos/bootstrap")
ARCHIVE = "ic-bootstrap.tar"
CONFIGURED = "CONFIGURED"
ACCOUNT_KEYS = bootstrap_policy.ACCOUNT_KEYS
CANDIDATES = Path("/dev/guestos/bootstrap")
"""Directory with links to the devices that may be a bootstrap medium; made by udev (70-guestos-bootstrap.rules)."""

_MAX_CONFIG = 16 << 20
"""Maximum size of all files for the config store together, in bytes; the partition has 100 MiB."""

_MAX_SHOWN = 200
"""Maximum number of characters of a name that is logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a member of the archive goes.

    Attributes:
        parent: the directory of the machine that gets it, under the name that it has in the archive or `name`.
        name: its name there; empty for that in the archive.
        user: its owner.
        group: its group.
        mode: of files.
        folder_mode: of directories; None if the member is a file.
        depth: how many levels a directory may have below it; None for any number.
    """

    parent: Path = CONFIG
    name: str = ""
    user: str = "root"
    group: str = "root"
    mode: int = 0o644
    folder_mode: int | None = None
    depth: int | None = None


_DATA = Path("/var/lib/ic/data")

MEMBERS = {
    name: Place()
    for name in (
        "network.conf",
        "nns.conf",
        "backup.conf",
        "log.conf",
        "malicious_behavior.conf",
        "socks_proxy.conf",
        "bitcoind_addr.conf",
        "filebeat.conf",
        "journalbeat.conf",
        "query_stats.conf",
        "jaeger_addr.conf",
        "reward.conf",
        "config.json",
        "nns_public_key_override.pem",
    )
} | {
    "nns_public_key.pem": Place(parent=_DATA, user="ic-replica", group="nonconfidential"),
    "node_operator_private_key.pem": Place(parent=_DATA, user="ic-replica", group="ic-replica", mode=0o400),
    ACCOUNT_KEYS: Place(folder_mode=0o755, depth=1),
    "ic_crypto": Place(
        parent=Path("/var/lib/ic"),
        name="crypto",
        user="ic-csp-vault",
        group="ic-csp-vault",
        mode=0o600,
        folder_mode=0o700,
    ),
    "ic_registry_local_store": Place(
        parent=_DATA, user="ic-replica", group="ic-registry-local-store", mode=0o640, folder_mode=0o2750
    ),
    "ic_state": Place(parent=_DATA, user="ic-replica", group="nonconfidential", mode=0o640, folder_mode=0o2750),
}
"""What the archive may have, and where it goes."""


def main(root: Path = Path("/"), environment: Environment | None = None) -> int:
    """Imports the configuration from the first medium that has one, and closes the first boot.

    Args:
        root: the directory that the places of the files are below; another one in tests.
        environment: where the variant is read; None for that of this machine.

    Returns:
        The exit status: 1 if the variant cannot be read or CONFIGURED cannot be written, else 0. A machine without a
        configuration, or with an invalid one, continues to boot.
    """
    configured = _below(root, CONFIG) / CONFIGURED
    if configured.exists():
        return 0
    try:
        policy = read_policy(environment or Environment())
        imported, problems = _import_first(root, policy)
        if imported:
            return 0
        if not problems:
            print("no bootstrap configuration is attached")
        if not problems or policy.closes_after_problems:
            _close(configured, "A medium was refused." if problems else "No medium was attached.")
    except GuestError as error:
        print(f"<3>{error}", file=sys.stderr)
        return 1
    return 0


def _import_first(root: Path, policy: Policy) -> tuple[bool, bool]:
    """Imports the first archive that is found; returns whether it was imported, and whether there were problems."""
    problems = False
    for device in candidates():
        try:
            with _mounted(device) as folder:
                archive = folder / ARCHIVE
                if not archive.is_file():
                    continue
                try:
                    import_archive(archive, root, policy)
                except GuestError as error:
                    print(f"<3>the bootstrap configuration is ignored: {error}", file=sys.stderr)
                    return False, True
                print(f"imported {ARCHIVE} from {device}")
                return True, problems
        except GuestError as error:
            problems = True
            print(f"<4>{error}", file=sys.stderr)
    return False, problems


def _close(configured: Path, reason: str) -> None:
    """Creates CONFIGURED on a machine that has imported nothing; it is fsynced.

    Raises:
        GuestError: the file cannot be written.
    """
    durable.replace(os.fspath(configured), f"{reason}\n".encode())
    print("this was the first boot: media are ignored from now on")


def candidates() -> list[Path]:
    """Returns the devices that have a FAT file system and are not on the booted disk, sorted by name."""
    return sorted(CANDIDATES.glob("*"))


@contextmanager
def _mounted(device: Path) -> Iterator[Path]:
    """Mounts a FAT file system read-only; yields the mount point."""
    MOUNT_POINT.mkdir(parents=True, exist_ok=True)
    options = "ro,nosuid,nodev,noexec"
    command = ["/usr/bin/mount", "-t", "vfat", "-o", options, os.fspath(device), os.fspath(MOUNT_POINT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise GuestError(f"{device}: cannot be mounted: {result.stderr.strip()}")
    try:
        yield MOUNT_POINT
    finally:
        subprocess.run(["/usr/bin/umount", os.fspath(MOUNT_POINT)], check=False)


def import_archive(archive: Path, root: Path = Path("/"), policy: Policy = EVERYTHING) -> None:
    """Writes the files of an archive to their places, and creates CONFIGURED.

    Args:
        archive: path of the tar.
        root: the directory that the places are below; another one in tests.
        policy: what is taken from it.

    Raises:
        GuestError: the archive is damaged or has a member that is not allowed, in which case nothing was changed; or a
            file cannot be written.
    """
    config = _below(root, CONFIG)
    try:
        with _opened(archive, root, policy) as file:
            for warning in _check(file, policy):
                print(f"<4>{ARCHIVE}: {warning}", file=sys.stderr)
            file.seek(0)
            _write(file, root, policy)
        os.sync()
        (config / CONFIGURED).touch(mode=0o644)
        os.sync()
    except OSError as error:
        raise GuestError(f"{error.filename or archive}: {error.strerror}") from error
    except GuestError as error:
        raise GuestError(f"{archive}: {error}") from error


def _opened(archive: Path, root: Path, policy: Policy) -> BinaryIO:
    """Returns the archive; if media need a signature, a copy of it, which was verified."""
    if policy.trust is None:
        return archive.open("rb")
    return bootstrap_signature.open_verified(archive, policy.trust, folders.open_folder(_below(root, _DATA)))


def _check(file: BinaryIO, policy: Policy) -> list[str]:
    """Reads an archive to its end; returns a warning for each name that is left out, in their order.

    Raises:
        GuestError: the archive is damaged, or a member is not allowed.
    """
    warnings: dict[str, None] = {}
    size = 0
    for member, place in _members(Archive(file)):
        if place is None:
            warnings[f"{member.path[0][:_MAX_SHOWN]!r} is not known and is ignored"] = None
            continue
        _check_member(member, place)
        if policy.leaves_out(member.path):
            warnings[f"{member.name!r} is left out: {policy.reason}"] = None
            continue
        owner_of(place)
        size += (member.size or 0) if place.parent == CONFIG else 0
        if size > _MAX_CONFIG:
            raise GuestError(f"the archive has more than {_MAX_CONFIG} bytes for {CONFIG}")
    return list(warnings)


def _members(archive: Archive) -> Iterator[tuple[Member, Place | None]]:
    """Yields the members that have a name, with their places; None for one that is not known, whatever it is.

    Raises:
        GuestError: the archive is damaged, or a known member cannot be used.
    """
    for member in archive.members():
        place = MEMBERS.get(member.path[0]) if member.path else None
        if member.problem and (place is not None or not member.path):
            raise GuestError(member.problem)
        if member.path:
            yield member, place


def _check_member(member: Member, place: Place) -> None:
    below = len(member.path) - 1
    is_folder = member.size is None
    if place.folder_mode is None:
        allowed = not is_folder and below == 0
    elif place.depth is None:
        allowed = is_folder or below > 0
    else:
        allowed = below < place.depth if is_folder else 0 < below <= place.depth
    if not allowed:
        kind = "directory" if is_folder else "file"
        raise GuestError(f"the archive has the {kind} {member.name!r}, which is not allowed in a configuration")


def _write(file: BinaryIO, root: Path, policy: Policy) -> None:
    tar = Archive(file)
    for member, place in _members(tar):
        if place is not None and not policy.leaves_out(member.path):
            _write_member(tar, member, place, root)


def _write_member(tar: Archive, member: Member, place: Place, root: Path) -> None:
    owner = owner_of(place)
    *parents, last = (place.name or member.path[0], *member.path[1:])
    if member.size is None:
        parents.append(last)
    folder = folders.open_folder(_below(root, place.parent))
    for name in parents:
        folder = folders.enter(folder, name, owner, place.folder_mode or 0o755)
    try:
        if member.size is not None:
            folders.write(folder, last, tar.data(), owner, place.mode)
    finally:
        os.close(folder)


def owner_of(place: Place) -> folders.Owner:
    """Returns the user ID and group ID of a place.

    Raises:
        GuestError: there is no such account.
    """
    try:
        return pwd.getpwnam(place.user).pw_uid, grp.getgrnam(place.group).gr_gid
    except KeyError as error:
        raise GuestError(f"the system lacks the account {place.user} or the group {place.group}") from error


def _below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")
