"""Makes a swap area of Linux, as the only member of a tar."""

from __future__ import annotations

import os
from dataclasses import dataclass
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import OutputName, Size
from tools.image.rawfile import write_raw
from tools.swap.area import swap_area
from tools.tar.sparse_archive import Member, archive_of


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    size: Size = argument("size of the area, a multiple of 4096 bytes")
    uuid: str = argument("UUID of the area")
    label: str = argument("label of the area, at most 15 bytes; none by default", default="")
    output: OutputName = argument("the tar to write")
    member: str | None = argument("name of the area in the output; by default the output's without .tar", default=None)
    raw: bool = argument("write the area itself, instead of a tar with it", default=False)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    name = arguments.member or os.path.basename(arguments.output).removesuffix(".tar")
    try:
        uuid = UUID(arguments.uuid)
    except ValueError:
        raise UserError(f"--uuid: {arguments.uuid!r} is not a UUID; `uuidgen` makes one") from None
    try:
        image = swap_area(arguments.size, uuid, arguments.label)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    write_raw(image if arguments.raw else archive_of([Member.of(name, image)]).image, arguments.output)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
