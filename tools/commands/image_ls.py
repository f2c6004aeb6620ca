"""Lists what is in an image: the partitions of a disk, or the files of a file system. Nothing is mounted.

The image is a raw file, or a member of a plain tar. For a disk, --partition says whose files to list.
"""

from __future__ import annotations

import datetime as dt
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.outputs import write_to_stdout
from tools.gpt.reader import read_table
from tools.image.extents import Image
from tools.inspect.volumes import is_disk, kind_of, open_partition, read_tree
from tools.tree.compare import printable, seconds
from tools.tree.mtree import mtree
from tools.tree.node import Device, Directory, File, Node, Symlink, walk
from tools.tree.paths import components, lookup

_EPOCH = dt.datetime(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class PlaceArguments:
    """The arguments that say what to look into."""

    image: str = argument("image of a file system or a disk: raw, or a tar with it")
    member: str | None = argument("name of the image in a tar of several", default=None)
    partition: str | None = argument("partition of the disk, by name or number", default=None)

    def open(self) -> Image:
        """Returns the image, or the partition of it.

        Raises:
            UserError: there is none.
        """
        return open_partition(self.image, self.partition, self.member)

    @property
    def origin(self) -> str:
        """What to call it in messages."""
        parts = (self.image, self.member, None if self.partition is None else f"partition {self.partition}")
        return ": ".join(part for part in parts if part is not None)


@dataclass(frozen=True, kw_only=True)
class Arguments(PlaceArguments):
    """Arguments of the command line."""

    path: str = argument("list this file, or this directory and all below it", default="/")
    format: Literal["long", "mtree", "paths"] = argument(
        "as `ls -l` does it, as mtree(5) with digests of contents, or paths alone", default="long"
    )


def partitions(image: Image, origin: str) -> Iterator[str]:
    """Yields a line for each partition of a disk: number, start and size in bytes, GUID, what it holds, name."""
    for entry in read_table(image, origin).entries:
        content = image.slice(entry.offset, entry.size)
        kind = kind_of(content) or ("data" if content.data_size else "empty")
        yield f"{entry.number:3} {entry.offset:14} {entry.size:14} {entry.uuid} {kind:5} {entry.name}"


def long_lines(node: Node, path: bytes) -> Iterator[str]:
    """Yields a line for a node and each one below it, much as `ls -l` does."""
    nodes = list(walk(node)) if isinstance(node, Directory) else [(b"", node)]
    links = Counter(each for _, each in nodes)
    for below, each in nodes:
        size = ""
        target = ""
        match each:
            case File():
                size = str(each.content.size)
            case Device():
                size = f"{each.major},{each.minor}"
            case Symlink():
                target = f" -> {printable(each.target)[1:]}"
        name = printable(b"/".join(part for part in (path, below) if part))
        words = (
            f"{stat.filemode(each.mode)} {links[each]:3} {each.uid:5} {each.gid:5} {size:>11} {_time(each.mtime_ns)}"
        )
        yield f"{words} {name}{target}"


def _time(mtime_ns: int) -> str:
    try:
        return f"{_EPOCH + dt.timedelta(seconds=mtime_ns // 10**9):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return seconds(mtime_ns)


def lines(arguments: Arguments) -> Iterator[str]:
    """Yields what the command line prints."""
    image = arguments.open()
    if is_disk(image):
        yield from partitions(image, arguments.origin)
        return
    parts = components(arguments.path)
    node = lookup(read_tree(image, arguments.origin), parts)
    if node is None:
        raise UserError(f"{arguments.origin}: has no {printable(b'/'.join(parts))}")
    match arguments.format:
        case "long":
            yield from long_lines(node, b"/".join(parts))
        case "paths":
            nodes = walk(node) if isinstance(node, Directory) else [(b"", node)]
            yield from (printable(b"/".join(part for part in (*parts, path) if part)) for path, _ in nodes)
        case "mtree":
            yield from mtree(node if isinstance(node, Directory) else Directory(entries={parts[-1]: node}))


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    write_to_stdout(f"{line}\n".encode() for line in lines(arguments))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
