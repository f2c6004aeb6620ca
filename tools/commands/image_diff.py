"""Says in what two images differ: which member, partition, path and field. Exits with 1 if they do.

Disks are compared partition by partition, file systems file by file; nothing is mounted. Where all that is understood
is the same, the first byte that differs is named. An image is a raw file or a plain tar.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.outputs import write_to_stdout
from tools.inspect.image_differences import archive_differences, image_differences
from tools.inspect.volumes import open_partition
from tools.tar.image_file import open_images


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    left: str = argument("an image of a file system or a disk, or an archive of images: raw, or a plain tar")
    right: str = argument("the other one")
    partition: str | None = argument("compare this partition only, by name or number", default=None)
    most: int = argument("how many differences to print; 0 for all", default=20)


def found(arguments: Arguments) -> Iterator[str]:
    """Yields the differences between what the arguments name."""
    if arguments.partition is None:
        yield from archive_differences(open_images(arguments.left), open_images(arguments.right))
    else:
        left, right = (open_partition(path, arguments.partition) for path in (arguments.left, arguments.right))
        yield from image_differences(left, right, f"partition {arguments.partition}: ")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    all_found = found(arguments)
    shown = list(itertools.islice(all_found, arguments.most or None))
    more = next(all_found, None) is not None
    write_to_stdout(f"{line}\n".encode() for line in (*shown, *(["and more"] * more)))
    if shown:
        raise UserError(f"{arguments.left} and {arguments.right} differ")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
