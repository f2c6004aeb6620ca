"""Takes files out of an image without mounting it.

A file is written as it is, with its holes; a directory becomes a tar with all that it holds: owners, modes, times,
extended attributes and hard links included. Without a path the image, or the partition, is written itself. The output
has mode 0600 if it has something that the image doesn't let all users read.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import OutputName
from tools.core.outputs import write_to_stdout
from tools.core.progress import progress
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.image.stream import buffers
from tools.inspect.place import PlaceArguments
from tools.tree.compare import printable, type_name
from tools.tree.node import Directory, File
from tools.tree.readable import is_secret
from tools.tree.tar_writer import tar_image


@dataclass(frozen=True, kw_only=True)
class Arguments(PlaceArguments):
    """Arguments of the command line."""

    path: str | None = argument(
        "a file or directory; symbolic links are followed; default: the image itself", default=None, positional=True
    )
    output: OutputName = argument("the file to write, - for standard output", default="-", positional=True)


def content(arguments: Arguments) -> tuple[Image, bool]:
    """Returns what is to be written, and whether it is secret: not for all to read in the image.

    Raises:
        UserError: there is no such file or directory.
    """
    image = arguments.open()
    if arguments.path is None:
        return image, False
    root = arguments.tree(image, arguments.path)
    path, node = arguments.node(root, arguments.path, follow=True)
    match node:
        case File():
            return node.content, is_secret(root, node)
        case Directory():
            return tar_image(node), is_secret(root, node)
    raise UserError(f"{arguments.origin}: {printable(path)} is a {type_name(node)}, which has no content")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    image, secret = content(arguments)
    if arguments.output == "-":
        write_to_stdout(buffers(image))
        return
    with progress(f"writing {arguments.output}", image.data_size) as tell:
        write_raw(image, arguments.output, tell, secret=secret)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
