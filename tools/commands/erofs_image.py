"""Builds the image of an EROFS file system, without compression, from archives of its files.

The output is a tar whose one member is the image as a sparse file; with --raw it's the image itself, with holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import Size
from tools.erofs.format import BLOCK_SIZE
from tools.erofs.options import ErofsOptions
from tools.erofs.writer import write_erofs
from tools.rootfs.assemble import assemble
from tools.rootfs.image_output import ImageOutput
from tools.rootfs.tree_spec import RootfsArguments


@dataclass(frozen=True, kw_only=True)
class ErofsArguments:
    """The parameters of the file system; see `ErofsOptions`."""

    uuid: str = argument("UUID of the file system; it is never made up")
    label: str = argument("label of the volume, at most 15 bytes; none by default", default="")
    size: Size | None = argument("size of the image; by default as large as the tree needs", default=None)


@dataclass(frozen=True, kw_only=True)
class Arguments(ImageOutput, ErofsArguments, RootfsArguments):
    """Arguments of the command line."""


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
    options = options_of(arguments)
    tree = assemble(arguments, arguments.name)
    with arguments.naming_errors():
        image = write_erofs(tree, options)
    arguments.write(image, BLOCK_SIZE)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
