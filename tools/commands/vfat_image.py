"""Builds the image of a FAT file system from archives, files and folders.

The output is a tar whose one member is the image as a sparse file; with --raw it's the image itself, with holes. FAT
keeps neither owners nor modes; what else it cannot keep, such as symbolic links, is an error.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import Size
from tools.fat.geometry import TYPES
from tools.fat.writer import Options, fat_image
from tools.rootfs.assemble import assemble
from tools.rootfs.image_output import ImageOutput
from tools.rootfs.tree_spec import Entry, LayerSpec, RootfsArguments


@dataclass(frozen=True, kw_only=True)
class VfatArguments:
    """The parameters of the file system; see `Options`."""

    size: Size = argument("size of the image")
    volume_id: str = argument(
        "eight hexadecimal digits that name the volume, such as 12AB-34CD; they are never made up"
    )
    label: str = argument("label of the volume, at most 11 characters; none by default", default="")
    fat_type: Literal["12", "16", "32"] | None = argument(
        "bits of an entry of the FAT; by default by size", default=None
    )
    cluster_size: Size | None = argument("by default by size", default=None)
    sector_size: int = argument("bytes of a sector: that of the disk, if it isn't 512", default=512)


@dataclass(frozen=True, kw_only=True)
class Arguments(ImageOutput, VfatArguments, RootfsArguments):
    """Arguments of the command line."""

    file: tuple[str, ...] = argument("PATH=SOURCE: a file or a folder of this machine to put at a path", default=())


def options_of(arguments: VfatArguments) -> Options:
    """Returns the options that arguments give.

    Raises:
        UserError: the volume ID is not eight hexadecimal digits.
    """
    if not re.fullmatch("[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}", arguments.volume_id):
        raise UserError(f"--volume_id: {arguments.volume_id!r} is not eight hexadecimal digits, such as 12AB-34CD")
    return Options(
        size=arguments.size,
        volume_id=int(arguments.volume_id.replace("-", ""), 16),
        label=arguments.label,
        bits=next((bits for bits in TYPES if str(bits) == arguments.fat_type), None),
        cluster_size=arguments.cluster_size,
        sector_size=arguments.sector_size,
    )


def entries_of(word: str) -> Iterator[Entry]:
    """Yields the entries that `PATH=SOURCE` describes: a file, or a folder with all that is in it.

    Nothing but types, names and contents is taken from this machine: modes and owners are those of any new file.

    Raises:
        UserError: it is not of this form, or the source cannot be read or is neither.
    """
    path, separator, source = word.partition("=")
    if not separator or not source:
        raise UserError(f"--file: {word!r} is not PATH=SOURCE; write the path in the image, =, and a file or folder")
    pending = [(path, os.path.realpath(source))]  # the source itself may be a link; links inside it are refused
    while pending:
        path, source = pending.pop()
        mode = os.lstat(source).st_mode
        if stat.S_ISDIR(mode):
            yield Entry(path, "directory")
            pending.extend((f"{path}/{name}", os.path.join(source, name)) for name in sorted(os.listdir(source)))
        elif stat.S_ISREG(mode):
            yield Entry(path, source=source)
        else:
            raise UserError(f"{source}: is neither a file nor a folder; FAT has nothing else")


def main(arguments: Arguments) -> None:
    """Builds the image."""
    options = options_of(arguments)
    files = [LayerSpec(label=word, entries=list(entries_of(word))) for word in arguments.file]
    tree = assemble(replace(arguments, layers=(*arguments.layers, *files)), arguments.name)
    with arguments.naming_errors():
        image = fat_image(tree, options)
    arguments.write(image)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
