"""Compares the creation of a SquashFS file system from a root tar with mksquashfs.

Both compress by zstd or gzip at a level, with the same size of blocks, and write into a sparse tar, as an action of a
build does. Runs alternate; the best run of each step counts.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from bench.measure import Step, compare, compare_sizes, tool_command, two_folders
from tools.core.cli import argument, run


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    root_tar: str = argument("the tar with the root tree")
    compression: Literal["zstd", "gzip"] = argument("how both compress", default="zstd")
    level: int | None = argument("level for both; by default 15 for zstd, 9 for gzip", default=None)
    runs: int = argument("number of runs of each variant", default=3)
    mksquashfs: str = argument("the command for mksquashfs 4.5 or newer, which reads tars", default="mksquashfs")
    work: str | None = argument("working directory, with space for three copies of the tree", default=None)


def stock(arguments: Arguments) -> list[Step]:
    """Returns the steps of the standard tools."""
    level = [] if arguments.level is None else ["-Xcompression-level", str(arguments.level)]
    options = ["-tar", "-quiet", "-no-progress", "-comp", arguments.compression, *level]
    command = f"{arguments.mksquashfs} - root.img {shlex.join(options)} <{shlex.quote(arguments.root_tar)}"
    return [
        Step("rm", ["rm", "-f", "root.img"]),
        Step("mksquashfs -tar", ["sh", "-c", command]),
        Step("tar -S", ["tar", "-S", "-cf", "root.img.tar", "root.img"]),
    ]


def ours(arguments: Arguments) -> list[Step]:
    """Returns the step of this project's tool."""
    flags = [f"--layer={arguments.root_tar}", f"--compression={arguments.compression}", "--output=root.img.tar"]
    if arguments.level is not None:
        flags.append(f"--level={arguments.level}")
    return [Step("squashfs_image", tool_command("squashfs_image", *flags))]


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    with two_folders(arguments.work) as folders:
        compare(stock(arguments), ours(arguments), arguments.runs, folders)
        compare_sizes(["root.img.tar"], folders)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
