"""Decompresses a file: gzip, xz or zstd, by its first bytes."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.image.decompression import decompress


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: FileName = argument("the compressed file", positional=True)
    output: OutputName = argument("the file to write", positional=True)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    decompress(arguments.input, arguments.output)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
