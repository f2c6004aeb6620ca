"""Installs a locked set of packages, with their maintainer scripts, and packs the result as a tar.

What debootstrap and mmdebstrap do, cut down to packages that are known beforehand: no package is chosen, fetched or
trusted here. The essential ones are unpacked so that their programs exist, then the set's own dpkg installs them all
properly, in a root of its own (see namespaces.py). Nothing of the host takes part but the kernel.

Owners are kept by fakeroot, since a user namespace has one user; libeatmydata leaves out what dpkg does against power
cuts. Both come as packages of the same release.

The tar depends on the packages alone. Every time stamp is at most that of the newest package; caches, logs and what
belongs to one machine (its id, its SSH keys) are left out.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import UserError
from tools.core.outputs import replacing
from tools.debian.deb import Deb
from tools.debian.dpkg_status import dpkg_progress
from tools.debian.namespaces import Devices, run_in_root
from tools.debian.order import installation_order, needed_first
from tools.debian.paths import matcher
from tools.debian.unpack import OwnedDirectory, link_merged_usr, unpack

_SCRATCH = "/.base-root"
"""Where the packages and the installer lie inside of the root while it's made."""

_LOG = f"{_SCRATCH}/log"

_LEFT_OUT = (
    "etc/.pwd.lock",
    "etc/hostname",
    "etc/*-",  # passwd- and the like: backups
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
"""What maintainer scripts leave that is of one run or one machine: backups, locks, logs, caches, keys."""

_MACHINE_ID = "etc/machine-id"
"""Left empty, which is what an image has: machine-id(5), section "First Boot Semantics"."""

_PROVIDED = "image-provided"
"""The name of the package that stands for what the image provides itself."""

_LOG_LINES = 30
"""How much of dpkg's output an error shows."""


@dataclass(frozen=True, slots=True)
class BaseRoot:
    """What to install, and what to leave out of the tar.

    Attributes:
        debs: the packages, a closed set with all essential ones.
        installer: the packages fakeroot, libfakeroot and libeatmydata1, of the same release as the set.
        provided: names of virtual packages that the image provides by other means; dpkg takes them for installed.
        exclude: patterns of paths without a leading slash to leave out, as in fnmatch(3) without flags: `*` also
            matches a slash. A directory that matches goes with all that's in it.
        include: patterns of paths to keep in spite of `exclude`.
    """

    debs: Sequence[Path]
    installer: Sequence[Path]
    provided: Sequence[str] = ()
    exclude: Sequence[str] = ()
    include: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The packages put in order, and open where they're read once the root is another."""

    spec: BaseRoot
    paths: dict[str, Path]  # by name, in the order of installation
    first: list[Deb]  # what is unpacked before dpkg runs
    installer: list[Deb]
    architecture: str
    epoch: int


def build_base_root(spec: BaseRoot, output: Path) -> None:
    """Installs packages into a new root and writes it as a tar: sorted, in pax format, with numeric owners.

    The work takes place in a temporary directory beside the output, of the size of the packages and their files.

    Raises:
        UserError: a package can't be read or installed, or this machine doesn't let the user make a root.
    """
    plan = _plan(spec)
    if time.time() < plan.epoch:
        raise UserError("this machine's clock is before the time when the packages were built; set it right")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=output.name + ".", dir=output.parent))
        try:
            root = scratch / "root"
            root.mkdir()
            root.chmod(0o755)  # explicit: without a set-group-ID bit that the directory above may hand down
            _copy_packages(plan, root)
            with replacing(output) as archive:
                run_in_root(root, lambda devices: _Installation(plan, devices).run(archive))
        finally:
            _remove_tree(scratch)
    except OSError as error:
        raise UserError(f"{output}: cannot be made: {error}") from error


def _plan(spec: BaseRoot) -> _Plan:
    paths: dict[str, Path] = {}
    controls = {}
    epoch = 0
    for path in spec.debs:
        with Deb(path) as deb:
            control = deb.control()
            epoch = max(epoch, deb.built)
        name = control["Package"]
        if name in paths:
            raise UserError(f"{path}: is the package {name}, as {paths[name]} is")
        paths[name], controls[name] = path, control
    if "dpkg" not in paths:
        raise UserError("the packages hold no dpkg; set `essential = true` for this set in the manifest and lock again")
    order = installation_order(controls.values())
    needed = needed_first(list(controls.values()))
    return _Plan(
        spec=spec,
        paths={name: paths[name] for name in order},
        first=[Deb(paths[name]) for name in order if name in needed],
        installer=[Deb(path) for path in spec.installer],
        architecture=controls["dpkg"]["Architecture"],
        epoch=epoch,
    )


def _copy_packages(plan: _Plan, root: Path) -> None:
    """Copies the packages to where dpkg finds them, since links lead nowhere there."""
    folder = root / _SCRATCH[1:] / "debs"
    folder.mkdir(parents=True)
    for name, path in plan.paths.items():
        shutil.copyfile(path, folder / f"{name}.deb")


def _remove_tree(top: Path) -> None:
    for folder, names, _ in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(top)


class _Installation:
    """The steps inside of the root; its only way out is the tar's descriptor and errors."""

    def __init__(self, plan: _Plan, devices: Devices) -> None:
        self._plan = plan
        self._devices = devices
        self._environment = {
            "DEBCONF_NONINTERACTIVE_SEEN": "true",
            "DEBIAN_FRONTEND": "noninteractive",
            "HOME": "/root",
            "INITRD": "No",  # an initramfs made here would differ from machine to machine
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SOURCE_DATE_EPOCH": str(plan.epoch),
            "SYSTEMD_OFFLINE": "1",
        }

    def run(self, archive: int) -> None:
        """Installs the packages and writes the tar to a descriptor."""
        link_merged_usr("/")
        owned = unpack(self._plan.first, "/")
        self._write_files()
        daemon = self._start_fakeroot()
        try:
            self._own(owned)
            self._install()
            self._devices.remove()
            self._clean()
            self._pack(archive)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon, signal.SIGTERM)

    def _write_files(self) -> None:
        """Writes what dpkg needs to start with, and forbids services to start (policy-rc.d)."""
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

    def _start_fakeroot(self) -> int:
        """Starts fakeroot's daemon and has all further programs load its library; returns the daemon's process."""
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
        return int(process)

    def _run(
        self, command: Sequence[str], what: str, stdout: int | None = None, pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a program of the packages; its messages go to the log, the end of which an error shows."""
        with open(_LOG, "a+b") as log:
            begin = log.tell()
            result = subprocess.run(
                command, env=self._environment, stdout=stdout or log, stderr=log, pass_fds=pass_fds, check=False
            )
            if result.returncode != 0:
                log.seek(begin)
                lines = log.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
                raise UserError("\n  ".join([f"{what} failed with status {result.returncode}; it said:", *lines]))
        return result

    def _own(self, directories: Iterable[OwnedDirectory]) -> None:
        """Gives directories to their owners, then their modes, which a change of owner may cut."""
        for directory in directories:
            self._run(["chown", f"{directory.uid}:{directory.gid}", directory.path], "chown")
            self._run(["chmod", f"{directory.mode:o}", directory.path], "chmod")

    def _install(self) -> None:
        """Has dpkg install everything at once; it finds the order in which to configure packages itself.

        It doesn't order unpacking by pre-dependencies, hence --force-depends: those are in place already.
        """
        files = [f"{_SCRATCH}/debs/{name}.deb" for name in self._plan.paths]
        options = ["--abort-after=1", "--force-depends", "--force-unsafe-io", "--install"]
        with dpkg_progress(len(files)) as status:
            self._run(["dpkg", f"--status-fd={status}", *options, *files], "dpkg", pass_fds=[status])
        query = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\n"]
        listed = self._run(query, "dpkg-query", stdout=subprocess.PIPE).stdout.decode().split("\n")
        if bad := [line for line in listed if line and not line.startswith("ii ")]:
            raise UserError(f"packages that dpkg didn't install wholly: {', '.join(bad)}")

    def _clean(self) -> None:
        """Deletes what's left out, files first, then directories that match and are empty."""
        exclude = matcher([*_LEFT_OUT, *self._plan.spec.exclude])
        include = matcher(self._plan.spec.include)
        for folder, directories, files in os.walk("/", topdown=False):
            for name in files + [name for name in directories if os.path.islink(os.path.join(folder, name))]:
                path = os.path.join(folder, name)
                if exclude(path[1:]) and not include(path[1:]):
                    os.unlink(path)
            if exclude(folder[1:]) and not os.listdir(folder):
                os.rmdir(folder)
        machine_id = Path("/", _MACHINE_ID)
        if machine_id.exists():
            machine_id.write_text("")

    def _pack(self, archive: int) -> None:
        """Writes the tar. Of extended attributes it keeps file capabilities: others are the build machine's."""
        options = [
            "--create",
            "--format=pax",
            "--sort=name",
            "--numeric-owner",
            f"--mtime=@{self._plan.epoch}",
            "--clamp-mtime",
            "--xattrs",
            "--xattrs-include=security.capability",
            # tar's own names for extended headers hold its process id, and its times the clock
            "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
            f"--exclude=.{_SCRATCH}",
        ]
        self._run(["tar", *options, "--directory=/", "."], "tar", stdout=archive)
