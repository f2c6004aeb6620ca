"""Draws a disk layout as a PNG: the disk to scale, and beside it what its partitions are; set A in green, B in blue."""

from __future__ import annotations

import io
from dataclasses import dataclass

from dev.drawing.layout_picture import draw
from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName, Size
from tools.core.outputs import replacing, write_all
from tools.gpt.layout import read_layout


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    layout: FileName = argument("the partitions.csv", positional=True)
    disk_size: Size = argument("size of the disk; partitions that take the rest end there")
    output: OutputName = argument("the PNG to write", positional=True)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    picture = io.BytesIO()
    draw(read_layout(arguments.layout), arguments.disk_size).save(picture, "PNG", optimize=True)
    with replacing(arguments.output) as fd:
        write_all(fd, picture.getvalue())


if __name__ == "__main__":
    run(main, Arguments, __doc__)
