"""Takes files from packages, as a tar or a single one, without installing them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.debian.extract import choose, write_data, write_file


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    deb: tuple[FileName, ...] = argument("a package file", positional=True)
    package: tuple[str, ...] = argument("pattern of names of packages to read; default: all", default=())
    path: tuple[str, ...] = argument("pattern of paths to take into the tar; default: all", default=())
    file: str | None = argument("pattern of the one file to write, instead of a tar", default=None)
    output: OutputName = argument("the file to write")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    debs = choose([Path(deb) for deb in arguments.deb], arguments.package)
    if arguments.file is not None:
        write_file(debs, arguments.file, Path(arguments.output))
    else:
        write_data(debs, arguments.path, Path(arguments.output))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
