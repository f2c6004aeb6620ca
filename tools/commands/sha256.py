"""Writes the SHA-256 of a file as `sha256sum` does, for `sha256sum --check` beside the file."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all, write_to_stdout
from tools.image.checksum_file import checksum_line
from tools.image.digest import sha256
from tools.image.rawfile import open_allocated


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: FileName = argument("the file", positional=True)
    output: OutputName = argument(
        "the file to write: one line with the hash and the input's name, without folders; - for standard output",
        default="-",
    )
    name: str | None = argument("what to write as the input's name", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    digest = sha256(open_allocated(arguments.input))
    name = os.path.basename(arguments.input) if arguments.name is None else arguments.name
    line = checksum_line(digest, name)
    if arguments.output == "-":
        write_to_stdout([line])
        return
    with replacing(arguments.output) as fd:
        write_all(fd, line)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
