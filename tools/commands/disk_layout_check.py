"""Checks that images fit the partitions of a layout, without reading any image.

The output is an empty file: what matters is that there is none when something is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.json_spec import OutputName, Size
from tools.core.outputs import replacing
from tools.gpt.arguments import TableArguments, table_of
from tools.gpt.disk import Content, check_contents
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
        size_attribute: what sets the size, for messages.
    """

    name: str
    size: Size
    hash_tree: bool = False
    label: str = ""
    size_attribute: str = ""

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
        'sizes of the images, as [{"name": …, "size": …, "hash_tree": …, "label": …, "size_attribute": …}]', default=()
    )
    output: OutputName = argument("the file to write when all is well")


def _contents(arguments: Arguments) -> Iterator[Content]:
    """Yields what the partitions are to hold, with the comments of the layout."""
    comments = {partition.name: partition.comment for partition in read_layout(arguments.layout).partitions}
    for image in arguments.partitions:
        label = f" for {image.label}" if image.label else ""
        comment = f" (comment of the partition: {comments[image.name]})" if comments.get(image.name) else ""
        attribute = image.size_attribute or "the partition_size of its image"
        yield Content(image.name, image.needed, label + comment, f"reduce {attribute}")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    check_contents(table_of(arguments), _contents(arguments), arguments.layout)
    with replacing(arguments.output):
        pass


if __name__ == "__main__":
    run(main, Arguments, __doc__)
