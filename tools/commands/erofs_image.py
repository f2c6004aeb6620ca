"""Builds the image of an EROFS file system, without compression, from archives of its files.

The output is a tar whose one member is the image as a sparse file; with --raw it's the image itself, with holes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import OutputName, Size
from tools.core.progress import progress
from tools.erofs.format import BLOCK_SIZE
from tools.erofs.options import ErofsOptions
from tools.erofs.writer import write_erofs
from tools.image.rawfile import write_raw
from tools.rootfs.assemble import assemble
from tools.rootfs.tree_spec import RootfsArguments
from tools.tar.sparse_archive import Member, archive_of


@dataclass(frozen=True, kw_only=True)
class ErofsArguments:
    """The parameters of the file system; see `ErofsOptions`."""

    uuid: str = argument("UUID of the file system; it is never made up")
    label: str = argument("label of the volume, at most 15 bytes; none by default", default="")
    size: Size | None = argument("size of the image; by default as large as the tree needs", default=None)


@dataclass(frozen=True, kw_only=True)
class Arguments(ErofsArguments, RootfsArguments):
    """Arguments of the command line."""

    output: OutputName = argument("file to write")
    member: str | None = argument("name of the image in the output; by default the output's without .tar", default=None)
    raw: bool = argument("write the image itself, instead of a tar with it", default=False)


def options_of(arguments: ErofsArguments) -> ErofsOptions:
    """Returns the options that arguments give.

    Raises:
        UserError: one is out of its range.
    """
    try:
        uuid = UUID(arguments.uuid)
    except ValueError:
        raise UserError(f"--uuid: {arguments.uuid!r} is not a UUID; `uuidgen` makes one") from None
    return ErofsOptions(uuid=uuid, label=arguments.label, size=arguments.size)


def main(arguments: Arguments) -> None:
    """Builds the image."""
    output = arguments.output
    name = arguments.member or os.path.basename(output).removesuffix(".tar")
    options = options_of(arguments)
    tree = assemble(arguments, name)
    try:
        image = write_erofs(tree, options)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if not arguments.raw:
        image = archive_of([Member.of(name, image, BLOCK_SIZE)]).image
    with progress(f"writing {output}", image.data_size) as tell:
        write_raw(image, output, tell)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
