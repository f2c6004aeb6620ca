"""Publishes what was built of a revision where get-artifacts.sh can download it: `bazel run //ic-os/guestos:publish`.

Writes, with SHA256SUMS in each folder (see artifacts.py):

    REVISION/release                   NAME.gz for each binary
    REVISION/guest-os/disk-img         disk-img.tar.gz, disk-img.tar.zst
    REVISION/guest-os/update-img       update-img.tar.gz, update-img.tar.zst
    REVISION/guest-os/disk-img-dev, update-img-dev    the same of the variant dev

A folder's SHA256SUMS is written last, so a folder that has it is complete. What is published already stays, and gets
the signatures that it lacks; another build of the same revision is an error, unless --replace is given, which replaces
folder by folder. In a local folder that takes effect at once: the new files are written beside the old ones, and the
folders exchange their names. On S3 and WebDAV, SHA256SUMS is removed first, with what the new build lacks, so the
folder counts as not published until the new SHA256SUMS is there; a download that has begun before fails by its
checksums.

The address is a folder, s3://BUCKET/PREFIX, or https://HOST/PATH of a WebDAV server. Credentials are those of the
environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL; ICOS_WEBDAV_USER and
ICOS_WEBDAV_PASSWORD, unless the address has them, https://USER:PASSWORD@HOST/PATH. Proxies are those of the
environment, too. --replace needs the right to remove files.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from guestos_tools.artifacts import parse_sums
from guestos_tools.checksums import SIGNATURES, SUMS, sign_sums, write_sums
from guestos_tools.options import say
from guestos_tools.stores import Store, is_url, open_store
from guestos_tools.webdav import without_credentials
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, KeyName
from tools.image.compressed_file import write_compressed
from tools.image.compression import Gzip
from tools.image.extents import Image

_MIB = 1 << 20
_NEW, _OLD = ".new", ".old"
"""Ends of the names of folders that are there while a folder is replaced."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Constants of linux/fcntl.h and linux/fs.h."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    to: str = argument("address of the revisions: a folder, s3://BUCKET/PREFIX, or https://HOST/PATH (WebDAV)")
    revision: str | None = argument("40 hexadecimal digits; default: the commit of the checkout", default=None)
    binaries: FileName | None = argument("folder with the executables of the release", default=None)
    disk_img: tuple[FileName, ...] = argument("a disk image of prod, compressed", default=())
    update_img: tuple[FileName, ...] = argument("an update image of prod, compressed", default=())
    disk_img_dev: tuple[FileName, ...] = argument("a disk image of dev, compressed", default=())
    update_img_dev: tuple[FileName, ...] = argument("an update image of dev, compressed", default=())
    sums_key: tuple[KeyName, ...] = argument(
        "file with a private key (Ed25519, PEM) that signs the checksums; without one they are not signed", default=()
    )
    replace: bool = argument("replace another build of the revision", default=False)
    insecure: bool = argument("take addresses without TLS (http://), too", default=False)


def folders_of(arguments: Arguments) -> dict[str, Sequence[str]]:
    """Returns the files by the folder of the layout; without folders that have no files.

    Raises:
        UserError: the folder with the executables cannot be read.
    """
    try:
        binaries = sorted(map(str, Path(arguments.binaries).iterdir())) if arguments.binaries else []
    except OSError as error:
        raise UserError(f"--binaries: {arguments.binaries}: cannot be read: {error.strerror}") from error
    folders: dict[str, Sequence[str]] = {
        "release": binaries,
        "guest-os/disk-img": arguments.disk_img,
        "guest-os/update-img": arguments.update_img,
        "guest-os/disk-img-dev": arguments.disk_img_dev,
        "guest-os/update-img-dev": arguments.update_img_dev,
    }
    return {name: files for name, files in folders.items() if files}


@contextmanager
def staged(revision: str, folder: str, files: Sequence[str], keys: Sequence[str]) -> Iterator[Path]:
    """Yields a folder with the files as they are published, with checksums and their signatures.

    Args:
        revision: that is published.
        folder: of the layout.
        files: what goes there; images are taken as they are, binaries are compressed.
        keys: files with private keys that sign the checksums.
    """
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name)
        for file in files:
            if folder == "release":
                write_compressed(Image.from_file(file), stage / f"{Path(file).name}.gz", Gzip())
            else:
                (stage / Path(file).name).symlink_to(Path(file).absolute())
        sums = write_sums(stage, [path.name for path in stage.iterdir()], f"{revision}/{folder}")
        if keys:
            sign_sums(sums, [Path(key) for key in keys])
        yield stage


class Publication:
    """The files of a revision at an address."""

    def __init__(self, store: Store, address: str, revision: str) -> None:
        """Changes nothing."""
        self._store = store
        self._address = address
        self._local = not is_url(address)
        self._revision = revision

    def publish(self, folder: str, stage: Path, *, replace: bool) -> None:
        """Publishes a folder, its checksums last.

        Args:
            folder: of the layout.
            stage: the local folder.
            replace: whether another build may be replaced.

        Raises:
            UserError: the address cannot be read or written, or has another build.
        """
        path = f"{self._revision}/{folder}"
        there = self._store.get(f"{path}/{SUMS}")
        if there == (stage / SUMS).read_bytes():
            say(f"{path}: is published already")
            self._put_signatures(path, stage)
            return
        if there is not None and not replace:
            raise UserError(
                f"{self._address}/{path}/{SUMS}: is of another build of this revision; compare them by verify-release, "
                "or give --replace"
            )
        if there is not None and self._local:
            self._replace(path, stage)
            return
        if there is not None:
            self._withdraw(path, there, stage)
        self._put_all(path, stage)

    def _put_all(self, path: str, stage: Path) -> None:
        last = [SIGNATURES, SUMS]
        names = sorted(file.name for file in stage.iterdir() if file.name not in last)
        for name in (*names, *(name for name in last if (stage / name).exists())):
            self._put(f"{path}/{name}", stage / name)

    def _replace(self, path: str, stage: Path) -> None:
        """Replaces a local folder as a whole."""
        folder, new = (Path(self._address, name) for name in (path, f"{path}{_NEW}"))
        try:
            # Of a run that was interrupted.
            shutil.rmtree(new, ignore_errors=True)
            self._put_all(f"{path}{_NEW}", stage)
            exchange(new, folder)
            shutil.rmtree(new)
        except OSError as error:
            raise UserError(f"{folder}: cannot be replaced: {error.strerror}") from error

    def _withdraw(self, path: str, sums: bytes, stage: Path) -> None:
        """Removes the checksums of a folder, and then what another build of it lacks.

        Args:
            path: of the folder.
            sums: content of its checksums.
            stage: the other build.
        """
        names = {SIGNATURES}
        with suppress(UserError):  # damaged checksums are replaced all the same
            names |= parse_sums(sums.decode(errors="replace"), path).keys()
        say(f"{path}: is withdrawn until its new files are there")
        self._store.delete(f"{path}/{SUMS}")
        for name in sorted(names - {file.name for file in stage.iterdir() if file.name != SIGNATURES}):
            self._store.delete(f"{path}/{name}")

    def _put_signatures(self, path: str, stage: Path) -> None:
        signatures = stage / SIGNATURES
        if signatures.exists() and self._store.get(f"{path}/{SIGNATURES}") != signatures.read_bytes():
            self._put(f"{path}/{SIGNATURES}", signatures)

    def _put(self, path: str, file: Path) -> None:
        say(f"{path}: {file.stat().st_size / _MIB:.1f} MiB")
        self._store.put(path, file)


def exchange(first: Path, second: Path) -> None:
    """Exchanges the names of two folders, in one step where the file system can (RENAME_EXCHANGE of renameat2(2)).

    Raises:
        OSError: one does not exist, or can't be renamed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, bytes(first), _AT_FDCWD, bytes(second), _RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number), str(second))
    old = second.with_name(f"{second.name}{_OLD}")
    second.rename(old)
    first.rename(second)
    old.rename(first)


def revision_of(given: str | None, checkout: str) -> str:
    """Returns the revision to publish: a given one, or the commit of a checkout without changes.

    Raises:
        UserError: the given one is no commit id, or the checkout is none or has changes.
    """
    if given is not None:
        if not re.fullmatch("[0-9a-f]{40}", given):
            raise UserError(f"--revision: {given!r} is not a commit id, 40 hexadecimal digits")
        return given
    try:
        command = ["git", "-C", checkout, "status", "--porcelain=v2", "--branch", "--untracked-files=normal"]
        status = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{checkout}: is no checkout that git can read; give --revision") from error
    commit = re.search(r"^# branch\.oid ([0-9a-f]{40})$", status, re.MULTILINE)
    if commit is None:
        raise UserError(f"{checkout}: has no commit; give --revision")
    changed = [line for line in status.splitlines() if not line.startswith("#")]
    if changed:
        raise UserError(
            f"{checkout}: has {len(changed)} files that differ from commit {commit[1]}, such as {_path(changed[0])}; "
            "commit them first"
        )
    return commit[1]


def _path(line: str) -> str:
    """Returns the path in a line of `git status --porcelain=v2` (git-status(1), "Porcelain Format Version 2")."""
    fields_before = {"1": 8, "2": 9, "u": 10}.get(line[:1], 1)
    return line.split(" ", fields_before)[-1].partition("\t")[0]


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    folders = folders_of(arguments)
    if not folders:
        raise UserError("there is nothing to publish: give --binaries, --disk_img or another of the files")
    revision = revision_of(arguments.revision, os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    store = open_store(arguments.to, os.environ, insecure=arguments.insecure)
    address = without_credentials(arguments.to).rstrip("/")
    publication = Publication(store, address, revision)
    for folder, files in folders.items():
        with staged(revision, folder, files, arguments.sums_key) as stage:
            publication.publish(folder, stage, replace=arguments.replace)
    say(f"{address}/{revision}: is published")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
