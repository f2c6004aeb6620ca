"""Checks that images fit the partitions of a layout, without reading any image.

The output is an empty file: what matters is that there is none when something is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.json_spec import OutputName, Size
from tools.core.outputs import replacing
from tools.gpt.arguments import TableArguments, table_of
from tools.gpt.disk import check_contents
from tools.gpt.layout import read_layout
from tools.verity.superblock import Superblock
from tools.verity.tree import hash_tree_size


@dataclass(frozen=True, slots=True)
class PartitionSize:
    """The size of a partition's image.

    Attributes:
        name: of the partition.
        size: of the file system, in bytes.
        hash_tree: whether a dm-verity tree stands after it.
        label: label of the image, for messages.
    """

    name: str
    size: Size
    hash_tree: bool = False
    label: str = ""

    @property
    def needed(self) -> int:
        """All that the image takes, in bytes."""
        if not self.hash_tree:
            return self.size
        return self.size + hash_tree_size(Superblock(data_size=self.size, salt=b"", uuid=UUID(int=0)))


@dataclass(frozen=True, kw_only=True)
class Arguments(TableArguments):
    """Arguments of the command line."""

    partitions: tuple[PartitionSize, ...] = argument(
        'sizes of the images, as [{"name": …, "size": …, "hash_tree": …, "label": …}]', default=()
    )
    output: OutputName = argument("the file to write when all is well")


def _notes(arguments: Arguments) -> dict[str, str]:
    """Returns what messages say of each partition: the image, and the comment of the layout."""
    comments = {partition.name: partition.comment for partition in read_layout(arguments.layout).partitions}
    notes = {}
    for image in arguments.partitions:
        label = f" for {image.label}" if image.label else ""
        comment = f" (comment of the partition: {comments[image.name]})" if comments.get(image.name) else ""
        notes[image.name] = label + comment
    return notes


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    sizes = [(partition.name, partition.needed) for partition in arguments.partitions]
    check_contents(table_of(arguments), sizes, arguments.layout, _notes(arguments))
    with replacing(arguments.output):
        pass


if __name__ == "__main__":
    run(main, Arguments, __doc__)
