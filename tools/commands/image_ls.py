r"""Lists what is in an image: the partitions of a disk, or the files of a file system. Nothing is mounted.

The image is a raw file, or a member of a plain tar. For a disk, --partition names the one whose files to list. Of a tar
with several files, such as an update image, these are listed, and --member names one.

--json prints one object. For a disk it has the key `partitions`, a list of objects with the keys `number`, `name`,
`offset` and `size` in bytes, `guid`, `type_guid`, and `holds`: `EROFS`, `ext4`, `FAT`, `SquashFS`, `swap`, `data` or
`empty`. For a tar of several files it has the key `members`, a list of objects with `name`, `size` and `holds`. For a
file system it has the key `files`, a list of objects with the keys `path`, `type` (such as `file`,
`directory`, `symbolic link`), `mode` (four octal digits), `uid`, `gid`, `mtime` (decimal seconds since the epoch, as
text), `links` (how many of the listed paths are this file), `size` in bytes, `target`, `device` (major and minor
number) and `xattrs` (hexadecimal digits by name); what a type does not have is null. A byte of a name that is not UTF-8
stands as \udcXX.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.outputs import write_to_stdout
from tools.inspect.listing import (
    file_lines,
    file_values,
    member_lines,
    member_values,
    nodes_below,
    partition_lines,
    partition_values,
)
from tools.inspect.place import PlaceArguments
from tools.inspect.volumes import is_disk
from tools.tree.compare import printable
from tools.tree.mtree import mtree
from tools.tree.node import Directory


@dataclass(frozen=True, kw_only=True)
class Arguments(PlaceArguments):
    """Arguments of the command line."""

    path: tuple[str, ...] = argument(
        "list this file, or this directory and all below it; default: all of the file system",
        default=(),
        positional=True,
    )
    format: Literal["long", "mtree", "paths"] = argument(
        "as `ls -lh` does it, as mtree(5) with digests of contents, or paths alone", default="long"
    )
    bytes: bool = argument("give sizes in bytes", default=False)
    json: bool = argument("print JSON instead, for programs", default=False)


def lines(arguments: Arguments) -> Iterator[str]:
    """Yields what the command line prints."""
    if arguments.json and arguments.format != "long":
        raise UserError("--json: has a format of its own; leave out --format")
    if not arguments.path and (members := arguments.members()):
        if arguments.json:
            yield json.dumps({"members": member_values(members)}, indent=2)
        else:
            yield from member_lines(members, in_bytes=arguments.bytes)
        return
    image = arguments.open()
    if is_disk(image) and not arguments.path:
        if arguments.json:
            yield json.dumps({"partitions": partition_values(image, arguments.origin)}, indent=2)
        else:
            yield from partition_lines(image, arguments.origin, in_bytes=arguments.bytes)
        return
    paths = arguments.path or ("/",)
    root = arguments.tree(image, paths[0])
    found = [arguments.node(root, path) for path in paths]
    nodes = [each for path, node in found for each in nodes_below(node, path)]
    if arguments.json:
        yield json.dumps({"files": file_values(nodes)}, indent=2)
    elif arguments.format == "long":
        yield from file_lines(nodes, in_bytes=arguments.bytes)
    elif arguments.format == "paths":
        yield from (printable(path) for path, _ in nodes)
    else:
        if len(found) > 1:
            raise UserError("--format=mtree: lists one path; call the command for each")
        ((path, node),) = found
        yield from mtree(node if isinstance(node, Directory) else Directory(entries={path.rpartition(b"/")[2]: node}))


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    write_to_stdout(f"{line}\n".encode() for line in lines(arguments))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
