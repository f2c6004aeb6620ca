"""Shows what is inside an image, as `bazel run :IMAGE.inspect -- …` calls it. Nothing is mounted.

    ls [PATH…]           the partitions of a disk, the files of a file system, or the members of an update image
    cat PATH…            the contents of files; without a path, a member that is no image, such as manifest.json
    extract PATH OUTPUT  writes a file, or a directory as a tar, to OUTPUT; - is standard output
    which PATH…          the Debian package and the layer of the root tree that each path is from

Of a disk, --partition names the one that the paths are in; of an update image, --member does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from tools.commands import image_extract, image_ls, image_which
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.core.outputs import write_to_stdout
from tools.image.stream import buffers
from tools.inspect.place import PlaceArguments
from tools.inspect.volumes import is_disk, kind_of
from tools.tree.compare import printable
from tools.tree.node import Directory


@dataclass(frozen=True, kw_only=True)
class Arguments(PlaceArguments):
    """Arguments of the command line."""

    image: FileName = argument("image of a file system or a disk: raw, or a tar with it")
    command: Literal["ls", "cat", "extract", "which"] = argument("what to do", default="ls", positional=True)
    path: tuple[str, ...] = argument("from the root of the file system; see above", default=(), positional=True)
    format: Literal["long", "mtree", "paths"] = argument("of `ls`; see `image_ls`", default="long")
    bytes: bool = argument("`ls` gives sizes in bytes", default=False)
    json: bool = argument("`ls` prints JSON, for programs", default=False)
    layers: FileName | None = argument("for `which`: a file of `image_layers`", default=None)

    @property
    def place(self) -> dict[str, str | None]:
        """The image, as arguments of other commands."""
        return {"image": self.image, "member": self.member, "partition": self.partition}


def list_files(arguments: Arguments) -> None:
    """Does `ls`."""
    given = {name: getattr(arguments, name) for name in ("path", "format", "bytes", "json")}
    image_ls.main(image_ls.Arguments(**arguments.place, **given))  # type: ignore[arg-type]


def show_files(arguments: Arguments) -> None:
    """Does `cat`; a directory has nothing to show.

    Raises:
        UserError: there is no path, or one is no file.
    """
    if not arguments.path and arguments.member is not None:
        image = arguments.open()
        if kind_of(image) is None and not is_disk(image):
            write_to_stdout(buffers(image))
            return
    if not arguments.path:
        raise UserError("cat: PATH is missing; --help shows how the command is called")
    root = arguments.tree(arguments.open(), arguments.path[0])
    for path in arguments.path:
        name, node = arguments.node(root, path, follow=True)
        if isinstance(node, Directory):
            raise UserError(f"{arguments.origin}: {printable(name)} is a directory; `extract` writes it as a tar")
    for path in arguments.path:
        image, _ = image_extract.content(image_extract.Arguments(**arguments.place, path=path))  # type: ignore[arg-type]
        write_to_stdout(buffers(image))


def extract(arguments: Arguments) -> None:
    """Does `extract`.

    Raises:
        UserError: there are not two paths, or nothing to write at the first.
    """
    if len(arguments.path) != 2:
        raise UserError("extract: give the path in the image, and the file to write; - is standard output")
    path, output = arguments.path
    image_extract.main(image_extract.Arguments(**arguments.place, path=path, output=output))  # type: ignore[arg-type]


def tell_origins(arguments: Arguments) -> None:
    """Does `which`.

    Raises:
        UserError: there is no path, or one is not in the image.
    """
    if not arguments.path:
        raise UserError("which: PATH is missing; --help shows how the command is called")
    given = {"path": arguments.path, "layers": arguments.layers}
    image_which.main(image_which.Arguments(**arguments.place, **given))  # type: ignore[arg-type]


_COMMANDS: dict[str, Callable[[Arguments], None]] = {
    "ls": list_files,
    "cat": show_files,
    "extract": extract,
    "which": tell_origins,
}
_OF_LS = ("format", "bytes", "json")


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        UserError: a flag belongs to another of the commands.
    """
    defaults = {field.name: field.default for field in fields(Arguments)}
    if arguments.command != "ls":
        for name in _OF_LS:
            if getattr(arguments, name) != defaults[name]:
                raise UserError(f"--{name}: is for ls, not for {arguments.command}; leave it out")
    _COMMANDS[arguments.command](arguments)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
