"""Installs a locked set of packages, including their maintainer scripts, and packs the root as a tar.

Like debootstrap and mmdebstrap, but for a given list of package files: nothing is resolved, downloaded or verified. The
essential packages are extracted first; then dpkg, from the set itself, installs all packages in a chroot with its own
namespaces (see namespaces.py). No program of the host is used. Threads decompress the packages while dpkg unpacks those
before them.

fakeroot records the owners of files, since an unprivileged user namespace maps only one user; libeatmydata disables
fsync. Both are from packages of the same release. The root is in memory if there is enough.

The tar depends only on the packages. Times are at most that of the newest package; caches, logs and machine-specific
files (machine-id, SSH host keys) are removed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import UserError
from tools.core.outputs import replacing
from tools.debian import kernel_modules
from tools.debian.deb import Deb
from tools.debian.dpkg_status import dpkg_progress
from tools.debian.expansion import expanded, permit_open
from tools.debian.memory import available_memory
from tools.debian.namespaces import Devices, run_in_root
from tools.debian.order import installation_order, needed_first
from tools.debian.paths import matcher
from tools.debian.unpack import OwnedDirectory, link_merged_usr, unpack

_SCRATCH = "/.base-root"
"""Directory in the root for the packages and the installer, during the installation."""

_LOG = f"{_SCRATCH}/log"

_LEFT_OUT = (
    "etc/.pwd.lock",
    "etc/hostname",
    "etc/*-",  # backups, such as passwd-
    "etc/ssh/ssh_host_*",
    "run/*",
    "tmp/*",
    "usr/sbin/policy-rc.d",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/*",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/systemd/random-seed",
    "var/log/apt/*",
    "var/log/*.log",
)
"""Files that depend on the run or the machine: backups, locks, logs, caches, keys."""

_MACHINE_ID = "etc/machine-id"
"""Emptied, as in any image (machine-id(5), section "First Boot Semantics")."""

_UNREAD = (f"{kernel_modules.FOLDER}/", "usr/share/doc/", "usr/share/info/", "usr/share/locale/", "usr/share/man/")
"""Folders whose files dpkg need not unpack if they are excluded.

No maintainer script may need documentation (Debian Policy, section 12.3), and none gets translated messages, since the
locale is C.UTF-8. Debian's container images of the variant slim leave out the same.
"""

_PROVIDED = "image-provided"
"""Name of the dummy package that provides the virtual packages of `BaseRoot.provided`."""

_DEBS = f"{_SCRATCH}/debs"
"""Directory in the root for the packages that dpkg reads next, without compression."""

_AT_ONCE = 16
"""Number of packages that one call of dpkg unpacks, while threads decompress those of the next calls."""

_BATCH = 400
"""Number of paths on a command line: 4096 bytes each are within what Linux allows, 2 MiB."""

_MEMORY_SHARE = 4
"""The root is made in memory if its files take at most this part of what is available.

It may take half: its files, and the packages that are decompressed ahead of dpkg.
"""

_FULL = os.strerror(errno.ENOSPC)
"""What programs say if a file system is full, in the locale of the installation."""

_LOG_LINES = 30
"""Number of lines of dpkg's output in an error message."""


@dataclass(frozen=True, slots=True)
class BaseRoot:
    """What to install, and what to remove from the tar.

    Attributes:
        debs: package files: a set closed under dependencies, with all essential packages.
        installer: package files of fakeroot, libfakeroot and libeatmydata1, of the same release.
        provided: names of virtual packages that the image provides by other means; dpkg treats them as installed.
        exclude: patterns of paths, without leading slash, to remove, as in fnmatch(3) without flags: `*` also matches a
            slash. A matching directory is removed with its content.
        include: patterns of paths to keep in spite of `exclude`.
    """

    debs: Sequence[Path]
    installer: Sequence[Path]
    provided: Sequence[str] = ()
    exclude: Sequence[str] = ()
    include: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The packages in order; those that are read after the chroot are already open."""

    spec: BaseRoot
    debs: dict[str, Deb]  # by name, in the order of installation
    first: list[str]  # names of those that are extracted before dpkg runs
    installer: list[Deb]
    architecture: str
    epoch: int
    size: int  # of the installed files in bytes, as the packages say


def build_base_root(spec: BaseRoot, output: Path) -> None:
    """Installs packages into a new root, and writes it as a tar: sorted, in pax format, with numeric owners.

    Needs a temporary directory next to the output where too little memory is available, of the size of the packages'
    extracted files.

    Raises:
        UserError: a package can't be read or installed, or this machine doesn't permit namespaces or chroot.
    """
    plan = _plan(spec)
    if time.time() < plan.epoch:
        raise UserError("this machine's clock is before the build time of the packages; correct it")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=output.name + ".", dir=output.parent))
        try:
            root = scratch / "root"
            root.mkdir()
            root.chmod(0o755)  # explicit: without an inherited set-group-ID bit
            with replacing(output) as archive:
                _install(plan, root, archive)
        finally:
            _remove_tree(scratch)
    except OSError as error:
        raise UserError(f"{output}: cannot be created: {error}") from error


def _install(plan: _Plan, root: Path, archive: int) -> None:
    """Installs the packages and writes the tar to a descriptor; on disk if memory is not enough for what they write."""

    def work(devices: Devices) -> None:
        _Installation(plan, devices).run(archive)

    memory = _memory(plan)
    try:
        run_in_root(root, work, memory)
    except UserError as error:
        # Where mounts are not permitted, the root was on disk.
        if not memory or any(root.iterdir()) or _FULL not in str(error):
            raise
        os.ftruncate(archive, 0)
        os.lseek(archive, 0, os.SEEK_SET)
        run_in_root(root, work)


def _plan(spec: BaseRoot) -> _Plan:
    permit_open(len(spec.debs))
    debs: dict[str, Deb] = {}
    controls = {}
    for path in spec.debs:
        deb = Deb(path)
        control = deb.control()
        name = control["Package"]
        if name in debs:
            raise UserError(f"{path}: is the package {name}, like {debs[name].path}")
        debs[name], controls[name] = deb, control
    if "dpkg" not in debs:
        raise UserError("the set has no dpkg; set `essential = true` for this set in the manifest and lock again")
    order = installation_order(controls.values())
    needed = needed_first(list(controls.values()))
    return _Plan(
        spec=spec,
        debs={name: debs[name] for name in order},
        first=[name for name in order if name in needed],
        installer=[Deb(path) for path in spec.installer],
        architecture=controls["dpkg"]["Architecture"],
        epoch=max(deb.built for deb in debs.values()),
        size=sum(int(c.get("Installed-Size") or 0) << 10 for c in controls.values()),
    )


def _memory(plan: _Plan) -> int:
    """Returns the bytes of memory for the root's files, or 0 if they have to be on disk.

    There, ext4 looks at each inode that was in use in the last seconds before it takes another one
    (`recently_deleted` of fs/ext4/ialloc.c), and dpkg removes a file for many that it makes.
    """
    available = available_memory()
    return available // 2 if _MEMORY_SHARE * plan.size <= available else 0


def _remove_tree(top: Path) -> None:
    for folder, names, _ in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(top)


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields the names of the packages in parts for one call of dpkg each."""
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]


class _Installation:
    """The steps of the installation after the chroot."""

    def __init__(self, plan: _Plan, devices: Devices) -> None:
        self._plan = plan
        self._devices = devices
        self._environment = {
            "DEBCONF_NONINTERACTIVE_SEEN": "true",
            "DEBIAN_FRONTEND": "noninteractive",
            "HOME": "/root",
            "INITRD": "No",  # an initramfs would depend on the machine
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SOURCE_DATE_EPOCH": str(plan.epoch),
            "SYSTEMD_OFFLINE": "1",
        }

    def run(self, archive: int) -> None:
        """Installs the packages and writes the tar to a descriptor."""
        link_merged_usr("/")
        os.makedirs(_DEBS)
        with contextlib.ExitStack() as daemon:
            with expanded(self._plan.debs, self._plan.first, _DEBS) as package:
                owned = unpack((Deb(package(name)) for name in self._plan.first), "/")
                self._write_files()
                daemon.enter_context(self._fakeroot())
                self._own(owned)
                self._install(package)
            self._devices.remove()
            self._remove_modules()
            self._clean()
            self._touch_folders()
            self._pack(archive)

    def _write_files(self) -> None:
        """Writes dpkg's initial database, and a policy-rc.d that prevents services from starting."""
        for folder in ("alternatives", "info", "triggers", "updates"):
            os.makedirs(f"/var/lib/dpkg/{folder}", exist_ok=True)
        stanzas = []
        if self._plan.spec.provided:
            stanzas = [
                f"Package: {_PROVIDED}",
                "Status: install ok installed",
                "Maintainer: nobody",
                "Architecture: all",
                "Version: 1",
                f"Provides: {', '.join(self._plan.spec.provided)}",
                "Description: stands for what the image provides by other means than packages",
                "",
            ]
            Path(f"/var/lib/dpkg/info/{_PROVIDED}.list").write_text("")
        Path("/var/lib/dpkg/status").write_text("".join(line + "\n" for line in stanzas))
        Path("/var/lib/dpkg/arch").write_text(self._plan.architecture + "\n")
        policy = Path("/usr/sbin/policy-rc.d")
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)

    @contextlib.contextmanager
    def _fakeroot(self) -> Iterator[None]:
        """Runs fakeroot's daemon, and preloads its library in further programs."""
        prefix = f"{_SCRATCH}/installer"
        os.mkdir(prefix)
        unpack(self._plan.installer, prefix)
        libraries = [*glob.glob(f"{prefix}/usr/lib/*/libfakeroot/libfakeroot-sysv.so")]
        libraries += glob.glob(f"{prefix}/usr/lib/*/libeatmydata.so")
        if len(libraries) != 2:
            raise UserError("the installer's packages must be fakeroot, libfakeroot and libeatmydata1")
        started = self._run([f"{prefix}/usr/bin/faked-sysv"], "fakeroot's daemon", stdout=subprocess.PIPE)
        key, _, process = started.stdout.decode().strip().partition(":")
        self._environment |= {"FAKEROOTDONTTRYCHOWN": "1", "FAKEROOTKEY": key, "LD_PRELOAD": ":".join(libraries)}
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGTERM)

    def _run(
        self, command: Sequence[str], what: str, stdout: int | None = None, pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a program in the root; its output goes to the log, whose last lines are in the error if it fails."""
        with open(_LOG, "a+b") as log:
            begin = log.tell()
            result = subprocess.run(
                command, env=self._environment, stdout=stdout or log, stderr=log, pass_fds=pass_fds, check=False
            )
            if result.returncode != 0:
                log.seek(begin)
                lines = log.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
                raise UserError("\n  ".join([f"{what} failed with status {result.returncode}; its output:", *lines]))
        return result

    def _own(self, directories: Iterable[OwnedDirectory]) -> None:
        """Sets the owners of directories, then their modes, since chown may clear mode bits."""
        for directory in directories:
            self._run(["chown", f"{directory.uid}:{directory.gid}", directory.path], "chown")
            self._run(["chmod", f"{directory.mode:o}", directory.path], "chmod")

    def _install(self, package: Callable[[str], str]) -> None:
        """Unpacks all packages, then configures them; dpkg determines the order of configuration.

        dpkg doesn't order unpacking by pre-dependencies, hence --force-depends; these are already extracted.
        """
        options = [*self._filters(), "--abort-after=1", "--force-depends", "--force-unsafe-io"]
        with dpkg_progress(len(self._plan.debs)) as status:
            dpkg = ["dpkg", f"--status-fd={status}", *options]
            for names in _parts(list(self._plan.debs)):
                files = [package(name) for name in names]
                self._run([*dpkg, "--unpack", *files], "dpkg", pass_fds=[status])
                for file in files:
                    os.unlink(file)
            self._run([*dpkg, "--configure", *self._plan.debs], "dpkg", pass_fds=[status])
        query = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\n"]
        listed = self._run(query, "dpkg-query", stdout=subprocess.PIPE).stdout.decode().split("\n")
        if bad := [line for line in listed if line and not line.startswith("ii ")]:
            raise UserError(f"packages that dpkg didn't install completely: {', '.join(bad)}")

    def _filters(self) -> Iterator[str]:
        """Yields options of dpkg by which it doesn't unpack excluded files that no maintainer script reads.

        Thus depmod doesn't read excluded kernel modules. Only files below a folder that a pattern excludes whole: dpkg
        would fail to unpack a file into a folder that it has left out. Other files may be wanted by maintainer scripts;
        they are removed at the end.
        """
        unread = [p for p in self._plan.spec.exclude if p.startswith(_UNREAD) and p.endswith("/*")]
        for kind, patterns in {"exclude": unread, "include": self._plan.spec.include}.items():
            for pattern in patterns:
                yield f"--path-{kind}=/{pattern}"
                if pattern.startswith("usr/lib/"):  # the package may have them in /lib, which is a link
                    yield f"--path-{kind}=/{pattern.removeprefix('usr/')}"

    def _remove_modules(self) -> None:
        """Removes excluded kernel modules, and has depmod index those that are left.

        By a program that tells fakeroot: else a new file of depmod would have the owner and mode of a removed one whose
        inode it gets.
        """
        paths = [path for path, is_folder in self._excluded(f"/{kernel_modules.FOLDER}") if not is_folder]
        for start in range(0, len(paths), _BATCH):
            self._run(["rm", "--", *paths[start : start + _BATCH]], "rm")
        for version in kernel_modules.outdated_indexes(Path("/")):
            self._run(["depmod", version], "depmod")

    def _clean(self) -> None:
        """Removes excluded files, then matching directories that are empty."""
        for path, is_folder in self._excluded("/"):
            if not is_folder:
                os.unlink(path)
            elif not os.listdir(path):
                os.rmdir(path)
        machine_id = Path("/", _MACHINE_ID)
        if machine_id.exists():
            machine_id.write_text("")

    def _touch_folders(self) -> None:
        """Gives each folder from which dpkg left something out the time that it would have if that had been removed."""
        exclude, include = matcher(self._plan.spec.exclude), matcher(self._plan.spec.include)
        real = functools.cache(os.path.realpath)  # folders of packages may lead through symbolic links
        touched = set()
        for path in self._listed_paths():
            parent, name = os.path.split(path)
            folder = real(parent)
            place = os.path.join(folder, name)
            if exclude(place[1:]) and not include(place[1:]) and not os.path.lexists(place):
                touched.add(folder)
        for folder in filter(os.path.isdir, touched):
            os.utime(folder)

    @staticmethod
    def _listed_paths() -> Iterator[str]:
        """Yields the paths that packages have, whether dpkg unpacked them or not, from its database."""
        for listing in glob.glob("/var/lib/dpkg/info/*.list"):
            with open(listing, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
                for line in lines:
                    yield line.removesuffix("\n")

    def _excluded(self, top: str) -> Iterator[tuple[str, bool]]:
        """Yields the paths below a directory that are to be removed, and whether each is a directory; these come last.

        A directory is to be removed if it is empty when it is yielded.
        """
        exclude = matcher([*_LEFT_OUT, *self._plan.spec.exclude])
        include = matcher(self._plan.spec.include)
        for folder, directories, files in os.walk(top, topdown=False):
            for name in files + [name for name in directories if os.path.islink(os.path.join(folder, name))]:
                path = os.path.join(folder, name)
                if exclude(path[1:]) and not include(path[1:]):
                    yield path, False
            if exclude(folder[1:]):
                yield folder, True

    def _pack(self, archive: int) -> None:
        """Writes the tar. Keeps only file capabilities of the extended attributes; others are the build machine's."""
        options = [
            "--create",
            "--format=pax",
            "--sort=name",
            "--numeric-owner",
            f"--mtime=@{self._plan.epoch}",
            "--clamp-mtime",
            "--xattrs",
            "--xattrs-include=security.capability",
            # by default names of extended headers have tar's process ID, and atime and ctime depend on the clock
            "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
            f"--exclude=.{_SCRATCH}",
        ]
        self._run(["tar", *options, "--directory=/", "."], "tar", stdout=archive)
