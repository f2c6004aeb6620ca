"""Compares the base root, a tar in which packages are installed, with mmdebstrap from the same package files.

The packages are those of the GuestOS's dev image, nothing is excluded, and nothing is downloaded: mmdebstrap
(https://gitlab.mister-muffin.de/josch/mmdebstrap) gets a repository of the files. Runs alternate; the best one counts.
Then one package is changed, and the base root made again. A build's own takes less: it leaves kernel modules out.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Step, best_of, compare, tool_command, two_folders
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.debian.repository import make_repository

_PROVIDED = "linux-initramfs-tool"
"""The virtual package that the images provide by other means."""

_CHANGED = "hostname"
"""The package that is changed: a small one that other packages need."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    deb: tuple[str, ...] = argument("a package to install; by default those of dev, from Bazel", default=())
    installer: tuple[str, ...] = argument("the packages fakeroot, libfakeroot and libeatmydata1", default=())
    runs: int = argument("number of runs of each variant", default=3)
    mmdebstrap: str = argument("the command for mmdebstrap", default="mmdebstrap")
    work: str | None = argument("working directory, with space for 3 GB", default=None)


def dummy(folder: Path) -> Path:
    """Makes an empty package that provides what images provide by other means; returns its file."""
    source = folder / "dummy"
    (source / "DEBIAN").mkdir(parents=True)
    fields = [
        "Package: image-provided",
        "Version: 1",
        "Architecture: all",
        "Maintainer: nobody",
        f"Provides: {_PROVIDED}",
    ]
    (source / "DEBIAN/control").write_text("\n".join([*fields, "Description: for a benchmark", ""]))
    return _build(source, folder / "image-provided_1_all.deb")


def changed(debs: Sequence[Path], folder: Path) -> list[Path]:
    """Returns the packages, one of them with one more file."""
    old = next((path for path in debs if path.name.startswith(f"{_CHANGED}_")), None)
    if old is None:
        raise UserError(f"there is no package {_CHANGED} to change")
    source = folder / "changed"
    subprocess.run(["dpkg-deb", "--raw-extract", old, source], check=True)
    added = source / "usr/share/changed"
    added.parent.mkdir(parents=True, exist_ok=True)
    added.write_text("changed\n")
    new = _build(source, folder / old.name)
    return [new if path == old else path for path in debs]


def _build(source: Path, output: Path) -> Path:
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", source, output], check=True, stdout=subprocess.DEVNULL)
    return output


def stock(command: str, pool: Path, names: Sequence[str], epoch: int) -> Step:
    """Returns the step of mmdebstrap; its root is below the working directory, as the base root's."""
    environment = ["env", f"SOURCE_DATE_EPOCH={epoch}", "TMPDIR=."]
    options = ["--variant=custom", "--mode=root", f"--include={','.join(names)}"]
    source = f"deb [trusted=yes] copy:{pool} ./"
    return Step("mmdebstrap", [*environment, *shlex.split(command), *options, "", "root.tar", source])


def ours(debs: Sequence[Path], installer: Sequence[Path]) -> Step:
    """Returns the step of this project's tool."""
    flags = [*map(str, debs), *(f"--installer={path}" for path in installer)]
    return Step("base root", tool_command("debian_base_root", *flags, f"--provided={_PROVIDED}", "--output=root.tar"))


def _given(paths: Sequence[str], variable: str) -> list[Path]:
    """Returns absolute paths of packages: from the command line, else from a variable that the BUILD file sets.

    Those of the variable are in the runfiles, as this file is.
    """
    runfiles = Path(__file__).absolute().parent.parent
    found = [Path(path).absolute() for path in paths]
    found = found or [runfiles / path for path in os.environ.get(variable, "").split()]
    if not found:
        raise UserError("there are no packages; call it by bazel run //bench:base_root, or name them")
    return found


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    for command, package in {arguments.mmdebstrap: "mmdebstrap", "dpkg-deb": "dpkg"}.items():
        if shutil.which(shlex.split(command)[0]) is None:
            raise UserError(
                f"{command}: is not installed; install the package {package}, or run this in the build container "
                f"(gitlab-ci/container/container-run.sh), which has it"
            )
    if os.geteuid() != 0:
        raise UserError("mmdebstrap needs root to give files their owners; run this as root, or in the build container")
    debs, installer = _given(arguments.deb, "PACKAGES"), _given(arguments.installer, "INSTALLER")
    with two_folders(arguments.work) as folders:
        work = folders[0].parent
        pool = work / "pool"
        pool.mkdir()
        names = make_repository([*debs, dummy(work)], pool)
        epoch = 0
        for path in debs:
            with Deb(path) as deb:
                epoch = max(epoch, deb.built)
        print(f"{len(debs)} packages of {sum(path.stat().st_size for path in debs) / 1e6:.0f} MB")
        theirs = stock(arguments.mmdebstrap, pool, names, epoch)
        compare([theirs], [ours(debs, installer)], arguments.runs, folders)
        again = best_of(ours(changed(debs, work), installer), arguments.runs, folders[1])
        print(f"one changed package: {again.wall:.2f} s, {again.cpu:.2f} s of CPU time")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
