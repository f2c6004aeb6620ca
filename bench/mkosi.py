"""Compares what a changed file costs with mkosi: the GuestOS's disk as .tar.zst, and one of mkosi with its packages.

mkosi (https://github.com/systemd/mkosi) makes an ext4 file system with a hash tree, compressed by zstd. Its second
build takes the tree with the packages from its cache, and adds the changed file. The packages have the versions of the
mirror, and no documentation. Both build before that; then they alternate, and the best run counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.changed_file import one_output
from bench.measure import Step, measure
from bench.scratch_build import scratch_build
from bench.workspace import called_in, work_folder
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_file import read_json

_LOCK = "third_party/debian/trixie.lock.json"
_PACKAGES = "guestos-dev"
_CHANGED = "extra/etc/changed.conf"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# https://github.com/systemd/mkosi/blob/main/mkosi/resources/man/mkosi.1.md
_CONFIGURATION = """\
[Distribution]
Distribution=debian
Release={release}

[Output]
Format=disk
ImageId=disk
OutputDirectory=../out
CompressOutput=zstd

[Build]
Incremental=yes
CacheDirectory=../cache
PackageCacheDirectory=../packages
WorkspaceDirectory=../work

[Content]
Bootable=no
WithDocs=no
ExtraTrees=../extra
Packages={packages}
"""

# https://www.freedesktop.org/software/systemd/man/latest/repart.d.html
_PARTITION = "[Partition]\nType={type}\nSizeMinBytes={size}\nSizeMaxBytes={size}\n"
_PARTITIONS = {
    "00-esp": _PARTITION.format(type="esp", size="100M") + "Format=vfat\n",
    "10-root": _PARTITION.format(type="root", size="3G")
    + "Format=ext4\nCopyFiles=/\nVerity=data\nVerityMatchKey=root\n",
    "20-hashes": _PARTITION.format(type="root-verity", size="64M") + "Verity=hash\nVerityMatchKey=root\n",
}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    mkosi: str = argument("name or path of mkosi 27 or newer", default="mkosi")
    runs: int = argument("number of changes that are measured", default=3)
    flag: tuple[str, ...] = argument("one more flag for Bazel's builds, such as --flag=--jobs=2", default=())
    work: str | None = argument("working directory, whose outputs are used again if it has some", default=None)


def write_source(folder: Path, lock: Any) -> Path:
    """Writes a configuration of mkosi with the packages of a lock; returns the folder to call mkosi in.

    Args:
        folder: for it, and for mkosi's outputs and caches.
        lock: what is in the lock file.
    """
    source = folder / "source"
    packages = [lock["packages"][key]["name"] for key in lock["sets"][_PACKAGES]["packages"]["amd64"]]
    suites = [suite for archive in lock["archives"].values() for suite in archive["released"]]
    release = min(suites, key=len)  # the others have its name, and `-updates` or `-security`
    texts = {
        "mkosi.conf": _CONFIGURATION.format(release=release, packages="\n    ".join(packages)),
        # Without it, mkosi asks for archives of debugging symbols, too.
        "mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources": "\n".join(_sources(lock)),
    }
    texts |= {f"mkosi.repart/{name}.conf": text for name, text in _PARTITIONS.items()}
    for name, text in texts.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    for name in ("out", "cache", "packages", "work", "extra/etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return source


def _sources(lock: Any) -> Iterator[str]:
    """Yields apt's description of each archive of a lock, at its first mirror."""
    for archive in lock["archives"].values():
        suites = " ".join(archive["released"])
        yield f"Types: deb\nURIs: {archive['urls'][0]}\nSuites: {suites}\nComponents: main\nSigned-By: {_KEYRING}\n"


def second_build(mkosi: str, source: Path, number: int) -> float:
    """Changes the file, and returns the seconds that mkosi takes."""
    (source.parent / _CHANGED).write_text(f"# {number}\n")
    return measure(Step("mkosi", [mkosi, "--force", "build"]), source).wall


def report(ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Prints the best of the wall times in seconds, and their ratio."""
    print(f"{'':<32} {'wall s':>8}")
    print(f"{'one changed file, .tar.zst alone':<32} {min(ours):8.2f}")
    print(f"{'mkosi, second build':<32} {min(theirs):8.2f}")
    print(f"ours takes {min(ours) / min(theirs):.3f} of the wall time")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    mkosi = shutil.which(arguments.mkosi)
    if mkosi is None:
        raise UserError(
            f"{arguments.mkosi}: is not installed; install the package mkosi, or name the program by --mkosi"
        )
    checkout = called_in("//bench:mkosi")
    with work_folder(arguments.work) as folder:
        source = write_source(folder / "mkosi", read_json(checkout / _LOCK))
        second_build(mkosi, source, 0)
        with scratch_build(checkout, folder, arguments.flag) as bazel:
            one_output(bazel, [0, 1])  # the first one builds all, the second one starts the commands
            ours, theirs = [], []
            for number in range(2, 2 + arguments.runs):
                ours.append(one_output(bazel, [number]))
                theirs.append(second_build(mkosi, source, number))
        report(ours, theirs)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
