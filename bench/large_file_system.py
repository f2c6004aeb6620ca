"""Compares ext4_image with mke2fs -d and tar -S for a file system of many TiB with little data."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from bench.measure import Step, compare, tool_command, two_folders
from tools.core.cli import argument, run
from tools.core.json_spec import Size

_UUID = "6b0ef1a1-4a05-4b0e-9a0c-2f6a0d3c1f5e"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    size: Size = argument("size of the file system", default=16 << 40)
    data: Size = argument("size of the one file in it", default=1 << 20)
    runs: int = argument("number of runs of each variant", default=3)
    mke2fs: str = argument("the command for mke2fs", default="mke2fs")
    work: str | None = argument("working directory, on a file system that supports files of that size", default=None)


def stock(arguments: Arguments) -> list[Step]:
    """Returns the steps of the standard tools."""
    options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal,64bit", "-U", _UUID, "-d", "tree"]
    return [
        Step("rm", ["rm", "-f", "large.img"]),
        Step("mke2fs -d", [*shlex.split(arguments.mke2fs), *options, "large.img", f"{arguments.size // 1024}"]),
        Step("tar -S", ["tar", "-S", "-cf", "large.img.tar", "large.img"]),
    ]


def ours(arguments: Arguments) -> list[Step]:
    """Returns the step of this project's tool."""
    flags = [f"--size={arguments.size}", f"--uuid={_UUID}", "--nojournal", "--output=large.img.tar"]
    layers = '--layers=[{"entries": [{"path": "file", "source": "tree/file"}], "label": "bench"}]'
    return [Step("ext4_image", tool_command("ext4_image", layers, *flags))]


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    with two_folders(arguments.work) as folders:
        for folder in folders:
            (folder / "tree").mkdir()
            (folder / "tree/file").write_bytes(os.urandom(arguments.data))
        compare(stock(arguments), ours(arguments), arguments.runs, folders)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
