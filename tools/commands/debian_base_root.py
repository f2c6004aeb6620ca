"""Installs Debian packages into a new root file system and writes it as a tar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.debian.base_root import BaseRoot, build_base_root


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    deb: tuple[FileName, ...] = argument("a package to install", positional=True)
    installer: tuple[FileName, ...] = argument("the packages fakeroot, libfakeroot and libeatmydata1")
    provided: tuple[str, ...] = argument("a virtual package that dpkg is to take for installed", default=())
    exclude: tuple[str, ...] = argument("pattern of paths to leave out", default=())
    include: tuple[str, ...] = argument("pattern of paths to keep in spite of --exclude", default=())
    output: OutputName = argument("the tar to write")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    spec = BaseRoot(
        debs=[Path(deb) for deb in arguments.deb],
        installer=[Path(deb) for deb in arguments.installer],
        provided=arguments.provided,
        exclude=arguments.exclude,
        include=arguments.include,
    )
    build_base_root(spec, Path(arguments.output))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
