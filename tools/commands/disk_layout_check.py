"""Checks that images fit the partitions of a layout, without reading any image.

The output is an empty file: what matters is that there is none when something is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.commands.disk_image import TableArguments, table_of
from tools.core.cli import argument, run
from tools.core.json_spec import Size
from tools.core.outputs import replacing
from tools.gpt.disk import check_contents


@dataclass(frozen=True, slots=True)
class PartitionSize:
    """The size of a partition's image, in bytes."""

    name: str
    size: Size


@dataclass(frozen=True, kw_only=True)
class Arguments(TableArguments):
    """Arguments of the command line."""

    partitions: tuple[PartitionSize, ...] = argument('sizes of the images, as [{"name": …, "size": …}]', default=())
    output: str = argument("the file to write when all is well")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    sizes = [(partition.name, partition.size) for partition in arguments.partitions]
    check_contents(table_of(arguments), sizes, arguments.layout)
    with replacing(arguments.output):
        pass


if __name__ == "__main__":
    run(main, Arguments, __doc__)
