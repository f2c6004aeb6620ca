"""Prints which Debian package each path of an image is from, by dpkg's database in it. Nothing is mounted.

The image is a raw file, or a member of a plain tar. A path of no package is from another layer of the root tree, or a
maintainer script made it. A path of several packages, such as a directory, is printed with the last one.
With --layers, which targets of image_inspector give, the layer is printed, too: the target that put the path into the
tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.json_spec import FileName
from tools.core.outputs import write_to_stdout
from tools.inspect.place import PlaceArguments
from tools.report.layers import read_layers
from tools.sbom.installed import read_packages
from tools.sbom.owners import file_owners
from tools.tree.compare import printable
from tools.tree.node import Directory, Symlink


@dataclass(frozen=True, kw_only=True)
class Arguments(PlaceArguments):
    """Arguments of the command line."""

    path: tuple[str, ...] = argument("from the root of the file system", positional=True)
    layers: FileName | None = argument("a file of `image_layers`, about this image", default=None)


def lines(arguments: Arguments) -> Iterator[str]:
    """Yields what the command line prints.

    Raises:
        UserError: the image is no file system, or lacks a path, or the layers cannot be read.
    """
    root = arguments.tree(arguments.open(), arguments.path[0])
    owners = file_owners(root)
    versions = {package.name: package.version for package in read_packages(root, {})}
    place = arguments.partition or arguments.member or ""
    layers = {} if arguments.layers is None else read_layers(arguments.layers).get(place, {})
    for path in arguments.path:
        name, _ = arguments.node(root, path)
        real = _real(root, name)
        owner = owners.get(real)
        package = _origin(owner, versions) if owner else "of no package"
        yield f"{printable(name)}: {package}{_layer(printable(real), layers)}"


def _layer(path: str, layers: Mapping[str, str]) -> str:
    layer = layers.get(path, "")
    return f", layer {layer}" if layer else ""


def _origin(owner: str, versions: dict[str, str]) -> str:
    return f"{owner} {versions[owner]}" if owner in versions else f"{owner}, which is no longer installed"


def _real(root: Directory, path: bytes) -> bytes:
    """Returns a path with a link of the top directory resolved, such as /lib, as dpkg's lists are read."""
    first, slash, rest = path.partition(b"/")
    top = root.entries.get(first)
    return top.target.strip(b"/") + slash + rest if slash and isinstance(top, Symlink) else path


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    write_to_stdout(f"{line}\n".encode() for line in lines(arguments))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
