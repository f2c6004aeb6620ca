"""Compares the creation of an EROFS file system, without compression, from a root tar with mkfs.erofs.

Both write it into a sparse tar, which an action of a build does. Runs alternate; the best run of each step counts.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from bench.measure import Step, compare, compare_sizes, tool_command, two_folders
from tools.core.cli import argument, run

_UUID = "6b0ef1a1-4a05-4b0e-9a0c-2f6a0d3c1f5e"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    root_tar: str = argument("the tar with the root tree")
    runs: int = argument("number of runs of each variant", default=3)
    mkfs: str = argument("the command for mkfs.erofs 1.7 or newer, which reads tars", default="mkfs.erofs")
    work: str | None = argument("working directory, with space for three copies of the tree", default=None)


def stock(arguments: Arguments) -> list[Step]:
    """Returns the steps of the standard tools."""
    options = ["--quiet", "--tar=f", "-T0", f"-U{_UUID}"]
    return [
        Step("rm", ["rm", "-f", "root.img"]),
        Step("mkfs.erofs --tar", [*shlex.split(arguments.mkfs), *options, "root.img", arguments.root_tar]),
        Step("tar -S", ["tar", "-S", "-cf", "root.img.tar", "root.img"]),
    ]


def ours(arguments: Arguments) -> list[Step]:
    """Returns the step of this project's tool."""
    flags = [f"--layer={arguments.root_tar}", f"--uuid={_UUID}", "--output=root.img.tar"]
    return [Step("erofs_image", tool_command("erofs_image", *flags))]


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    with two_folders(arguments.work) as folders:
        compare(stock(arguments), ours(arguments), arguments.runs, folders)
        compare_sizes(["root.img.tar"], folders)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
