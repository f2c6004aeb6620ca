"""Runs a build in another environment on the same machine: another Bazel, Python, user, time, time zone and others.

This needs root, for a mount namespace; the build itself runs as another user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.testing.mounts import mounted
from tools.testing.oracles import ask, oracle, unavailable

USER = 1500
HOST = "another-host"
USER_NAME = "another-user"
FOLDER = Path("/srv")
"""Directory of the environment in the build's mount namespace; one that exists in every Debian."""

_ZONE = "Pacific/Kiritimati"
_ENVIRONMENT = {
    "FOR_NO_ACTION": "of-the-client-alone",
    "HOME": str(FOLDER / "home"),
    "LANG": "tr_TR.UTF-8",
    "PATH": os.environ.get("PATH", os.defpath),
    "PYTHONHASHSEED": "4711",
    "TZ": _ZONE,
    "USER": USER_NAME,
}
DAYS = 500

_ENTER = """
set -eu
mount --bind "$1" "$2"; mount --bind "$2/etc" /etc; mount --bind "$2/python" "$3"
hostname "$4"
cd "$2/checkout"
cpu=$5 user=$6
shift 6
exec setpriv --reuid="$user" --regid="$user" --clear-groups taskset --cpu-list "$cpu" "$@"
"""

# Bazel sets umask and environment of actions, so a wrapper of Python changes them.
_PYTHON = """\
#!/bin/sh
umask 0077
export HOME=/nonexistent LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONHASHSEED=4711 PYTHONUTF8=0 TZ={zone}
exec {python} "$@"
"""

_PROBE = """
genrule(
    name = "surroundings",
    srcs = ["BUILD.bazel"],
    outs = ["surroundings.txt"],
    cmd = "python3 $(location //tests/repro:probe.py) $< >$@",
    tools = ["//tests/repro:probe.py"],
)
"""

_PROGRAM_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")

STARTERS = ("bash", "env", "grep", "sh", "which")
"""Programs that start a Python program: those in shebang lines, and in py3wrapper.sh of Bazel's toolchain."""


@dataclass(frozen=True)
class Surroundings:
    """A copy of the checkout, and a Bazel for it.

    Attributes:
        folder: path of FOLDER outside of the build's mount namespace.
        cpu: the number of the one processor that the build may use.
        cache: options of Bazel that spare it downloads.
    """

    folder: Path
    cpu: int
    cache: tuple[str, ...]

    def bazel(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of Bazel in this environment."""
        unshare = [oracle("unshare"), "--mount", "--uts", "--propagation=private"]
        python = os.path.realpath(oracle("python3"))
        enter = [str(self.folder), str(FOLDER), python, HOST, str(self.cpu), str(USER)]
        bazel = [oracle("bazel"), f"--output_user_root={FOLDER}/bazel", "--nohome_rc", command]
        return subprocess.run(
            [*unshare, "bash", "-c", _ENTER, "enter", *enter, *bazel, *arguments],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def build(self, *targets: str) -> subprocess.CompletedProcess[str]:
        """Builds targets, without an action cache."""
        return self.bazel("build", *self._options, *targets)

    def aquery(self, query: str) -> subprocess.CompletedProcess[str]:
        """Returns the output of aquery; see `actions`."""
        contents = ["--include_param_files", "--include_file_write_contents"]
        return self.bazel("aquery", *self._options, "--output=jsonproto", *contents, query)

    @property
    def _options(self) -> list[str]:
        options = ["--color=no", "--curses=no", "--disk_cache=", "--remote_cache=", "--jobs=3", *self.cache]
        # A process for each action; the first build has persistent workers.
        options += ["--spawn_strategy=remote,linux-sandbox"]
        # The environment of actions that inherit one.
        options += [f"--action_env={name}={_ENVIRONMENT[name]}" for name in ("LANG", "PYTHONHASHSEED", "TZ")]
        # Another clock, and no programs of the machine, only for actions.
        mounts = [("preload", "/etc/ld.so.preload")]
        mounts += [("programs", folder) for folder in _PROGRAM_FOLDERS if Path(folder).is_dir()]
        return [*options, *(f"--sandbox_add_mount_pair={FOLDER}/{name}:{path}" for name, path in mounts)]

    def output(self, path: str) -> Path:
        """Returns the location of an output, by its path in `bazel-bin`."""
        target = (self.folder / "checkout/bazel-bin").readlink()
        return self.folder / target.relative_to(FOLDER) / path

    def probed(self) -> dict[str, str]:
        """Returns properties of an action's environment, from the output of an action."""
        lines = self.output("surroundings/surroundings.txt").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def other_surroundings(checkout: Path, repository_cache: Path | None, scratch: Path) -> Iterator[Surroundings]:
    """Creates the environment; stops its Bazel at the end of the context.

    Skips or fails the calling test if a requirement is missing.

    Args:
        checkout: what to copy, a work tree of git.
        repository_cache: what Bazel downloaded before, to be copied; None to download it again.
        scratch: a folder for the image of a file system, of a few GiB.
    """
    python, library = _other_python(), _clock_library()
    image = _file_system(scratch / "file-system")
    with mounted(image, "rw") as folder:
        _copy_checkout(checkout, folder / "checkout")
        _write_etc(folder / "etc")
        (folder / "python").write_text(_PYTHON.format(python=python, zone=_ZONE))
        (folder / "python").chmod(0o755)
        _copy_programs(folder / "programs", python)
        (folder / "preload").write_text(f"{library}\n")
        (folder / "home").mkdir()
        (folder / "bazel").mkdir()
        cache: tuple[str, ...] = ()
        if repository_cache is not None:
            shutil.copytree(repository_cache, folder / "downloads")
            cache = (f"--repository_cache={FOLDER}/downloads",)
        for name in ("checkout", "home", "bazel", "downloads"):
            ask("chown", "--recursive", f"{USER}:{USER}", folder / name, check=name != "downloads")
        folder.chmod(0o755)
        found = Surroundings(folder, max(os.sched_getaffinity(0)), cache)
        try:
            yield found
        finally:
            found.bazel("shutdown")
    image.unlink()


def _other_python() -> str:
    """Returns the path of another minor version of CPython."""
    for minor in range(11, 15):  # the versions with locked wheels
        path = shutil.which(f"python3.{minor}")
        if path and minor != sys.version_info.minor:
            return path
    return oracle("python3.13" if sys.version_info.minor != 13 else "python3.14")


def _copy_programs(folder: Path, python: str) -> None:
    """Creates a directory with Python and STARTERS, the only programs that actions find.

    An action that starts another program of the machine fails.
    """
    folder.mkdir()
    shutil.copy(folder.parent / "python", folder / "python3")
    for program in (python, *map(oracle, STARTERS)):
        shutil.copy(program, folder)


def _clock_library() -> Path:
    """Returns the path of libfaketime, which changes the clock of programs that preload it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        unavailable("libfaketime.so.1 is missing: install the Debian package libfaketime")
    return found[0]


def _file_system(path: Path) -> Path:
    """Creates an ext4 file system with small blocks, whose directories list entries in the order of creation."""
    with path.open("wb") as file:
        file.truncate(16 << 30)
    features = "^dir_index,^has_journal"
    ask("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-N", "1000000", "-O", features, "-E", "nodiscard", path)
    return path


def _copy_checkout(checkout: Path, copy: Path) -> None:
    """Copies the files of a checkout, in reverse order, with other modes."""
    command = [oracle("git"), "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    for name in sorted(filter(None, listed), reverse=True):
        if not (checkout / name).exists():
            continue
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout / name, copy / name)
        (copy / name).chmod(0o700 if os.access(checkout / name, os.X_OK) else 0o600)
    probe = copy / "surroundings/BUILD.bazel"
    probe.parent.mkdir()
    probe.write_text(_PROBE)
    probe.chmod(0o600)
    for folder, _, _ in os.walk(copy):
        os.chmod(folder, 0o2700)


def _write_etc(etc: Path) -> None:
    """Copies /etc, with modifications."""
    ask("cp", "--archive", "/etc/.", etc)
    (etc / "localtime").unlink(missing_ok=True)
    (etc / "localtime").symlink_to(f"/usr/share/zoneinfo/{_ZONE}")
    (etc / "hostname").write_text(f"{HOST}\n")
    (etc / "ld.so.preload").write_text("")
    (etc / "faketimerc").write_text(f"+{DAYS}d\n")
    with (etc / "passwd").open("a") as file:
        file.write(f"{USER_NAME}:x:{USER}:{USER}::/nonexistent:/bin/sh\n")
