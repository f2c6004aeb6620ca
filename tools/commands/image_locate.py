"""Prints what has its data at a byte of an image: the partition, and the file or structure in it. Nothing is mounted.

The image is a raw file, or a member of a plain tar. With --partition, --byte is an offset in that partition.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.outputs import write_to_stdout
from tools.inspect.locate import locate
from tools.inspect.place import PlaceArguments


@dataclass(frozen=True, kw_only=True)
class Arguments(PlaceArguments):
    """Arguments of the command line."""

    byte: int = argument("the byte's offset, from 0 on", positional=True)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    lines = locate(arguments.open(), arguments.byte, arguments.origin)
    write_to_stdout(f"{line}\n".encode() for line in lines)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
