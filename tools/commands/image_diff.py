"""Compares two images: which member, partition, path and field differs. The exit status is that of diff(1).

Disks are compared partition by partition, file systems file by file; nothing is mounted. Where all that is understood
is the same, the first byte that differs is named. An image is a raw file or a plain tar. In each line the left image's
value comes first; small files of text are compared as texts. The exit status is 0 if the images are the same, 1 if
they differ, 2 if they cannot be compared.

--json prints one object with the keys `left` and `right` (the names of the files), `same` and `more` (whether there are
more differences than --most), and `differences`: a list of objects with the keys `where` (a list from the outside in:
member, partition, path), `field` (such as `permissions`; `presence` of what only one side has, `content` of bytes,
`unreadable`), `left` and `right` (values as text, or null), `offset` (of the first byte that differs, for `content`),
`note` and `text` (lines of a unified diff).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import CheckError
from tools.core.json_spec import FileName
from tools.core.outputs import write_to_stdout
from tools.core.text import escaped
from tools.inspect.difference import Difference
from tools.inspect.image_differences import archive_differences, image_differences
from tools.inspect.report import Report
from tools.inspect.volumes import open_partition
from tools.tar.image_file import open_images


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    left: FileName = argument(
        "an image of a file system or a disk, or an archive of images: raw, or a plain tar", positional=True
    )
    right: FileName = argument("the image to compare it with", positional=True)
    partition: str | None = argument("compare this partition only, by name or number", default=None)
    most: int = argument("how many differences to print; 0 for all", default=20)
    json: bool = argument("print JSON instead, for programs", default=False)


def found(arguments: Arguments) -> Iterator[Difference]:
    """Yields the differences between what the arguments name."""
    if arguments.partition is None:
        yield from archive_differences(open_images(arguments.left), open_images(arguments.right))
    else:
        left, right = (open_partition(path, arguments.partition) for path in (arguments.left, arguments.right))
        yield from image_differences(left, right, (f"partition {arguments.partition}",))


def lines(arguments: Arguments, report: Report) -> Iterator[str]:
    """Yields what the command line prints."""
    if arguments.json:
        yield json.dumps({"left": arguments.left, "right": arguments.right, **report.to_json()}, indent=2)
    elif not report.same:
        yield f"--- {escaped(arguments.left)}"
        yield f"+++ {escaped(arguments.right)}"
        yield from report.lines()


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: the images differ.
    """
    report = Report.of(found(arguments), arguments.most)
    write_to_stdout(f"{line}\n".encode() for line in lines(arguments, report))
    if not report.same:
        raise CheckError


if __name__ == "__main__":
    run(main, Arguments, __doc__)
