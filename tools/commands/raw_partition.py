"""Makes the image of a partition whose content is a file as it is, as the only member of a tar.

Blocks of 4096 bytes of zeros become holes, so that the output's size follows what the file has besides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName, Size
from tools.core.progress import progress
from tools.image.rawfile import open_raw, write_raw
from tools.tar.sparse_archive import Member, archive_of


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: FileName = argument("the content of the partition; what it lacks to the size is zeros")
    size: Size = argument("size of the image, a multiple of 512 bytes")
    output: OutputName = argument("the tar to write")
    size_attribute: str = argument("what sets the size, for messages", default="--size")
    member: str | None = argument("name of the image in the output; by default the output's without .tar", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    if not arguments.size or arguments.size % 512:
        raise UserError(f"--size: {arguments.size} is not a multiple of 512 bytes, the sectors of a disk")
    content = open_raw(arguments.input)
    if content.size > arguments.size:
        raise UserError(
            f"{arguments.size_attribute}: the partition has {arguments.size} bytes, and {arguments.input} "
            f"{content.size}; set it to at least {-(-content.size // 512) * 512}"
        )
    name = arguments.member or os.path.basename(arguments.output).removesuffix(".tar")
    image = archive_of([Member.of(name, content.resized(arguments.size))]).image
    with progress(f"writing {arguments.output}", image.data_size) as tell:
        write_raw(image, arguments.output, tell)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
