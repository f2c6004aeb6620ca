"""Builds the image of an ext4 file system from archives of its files.

The output is a tar whose one member is the image as a sparse file; with --raw it's the image itself, with holes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import Size
from tools.ext4.format.constants import LOST_AND_FOUND
from tools.ext4.options import Ext4Options
from tools.ext4.writer import write_ext4
from tools.image.extents import Image
from tools.rootfs.assemble import assemble_layers
from tools.rootfs.image_output import ImageOutput
from tools.rootfs.tree_spec import RootfsArguments
from tools.tree.layer import Layer


@dataclass(frozen=True, kw_only=True)
class Ext4Arguments:
    """The parameters of the file system; see `Ext4Options`, which has the defaults of those that aren't given."""

    size: Size = argument("size of the image")
    uuid: str = argument("UUID of the file system; it is never made up")
    hash_seed: str | None = argument("UUID that seeds directory hashes; by default from uuid", default=None)
    label: str | None = argument("label of the volume, at most 16 bytes", default=None)
    block_size: int | None = argument("1024, 2048 or 4096 bytes", default=None)
    inode_size: int | None = argument("bytes of an inode", default=None)
    inode_ratio: int | None = argument("bytes of the file system for each inode", default=None)
    inode_count: int | None = argument("number of inodes", default=None)
    reserved_percent: float | None = argument("share that is kept for the superuser", default=None)
    journal: bool | None = argument("whether there is a journal", default=None)
    metadata_csum: bool | None = argument("whether all metadata carries checksums", default=None)
    timestamp: int | None = argument("time of creation, in seconds since the epoch", default=None)


@dataclass(frozen=True, kw_only=True)
class Arguments(ImageOutput, Ext4Arguments, RootfsArguments):
    """Arguments of the command line."""


def options_of(arguments: Ext4Arguments) -> Ext4Options:
    """Returns the options that arguments give.

    Raises:
        UserError: one is out of its range.
    """
    names = {each.name for each in fields(Ext4Arguments)}
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    for name in {"uuid", "hash_seed"} & given.keys():
        try:
            given[name] = UUID(given[name])
        except ValueError:
            raise UserError(f"--{name}: {given[name]!r} is not a UUID; `uuidgen` makes one") from None
    return Ext4Options(**given)


def main(arguments: Arguments) -> None:
    """Builds the image."""
    options = options_of(arguments)
    tree = assemble_layers(arguments, arguments.name, own_directories=(LOST_AND_FOUND,))
    with arguments.naming_errors():
        image = _image_of(tree, options, arguments.partial)
    arguments.write(image, options.block_size)


def _image_of(tree: Layer, options: Ext4Options, partial: bool) -> Image:
    """Returns the image of a tree. That of a part of another tree is empty if it can't be made, since the other may.

    Raises:
        UserError: the tree doesn't fit, or the file system can't have a file of it.
    """
    try:
        return write_ext4(tree.root, options, tree.overlay)
    except UserError:
        if partial:
            return Image(options.size)
        raise


if __name__ == "__main__":
    run(main, Arguments, __doc__)
