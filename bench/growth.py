"""Compares how time and memory of ext4_image and of mke2fs -d grow with the number of files, which are empty."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Step, measure, tool_command
from tools.core.cli import argument, run
from tools.tar import header
from tools.tar.member_header import member_header

_UUID = "6b0ef1a1-4a05-4b0e-9a0c-2f6a0d3c1f5e"
_MIB = 1 << 20
_FOLDER = 1000
_BYTES_PER_FILE = 16384


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    files: tuple[int, ...] = argument("a number of files", default=(1000, 10_000, 100_000, 1_000_000))
    mke2fs: str = argument(
        "the command for mke2fs 1.47.1 or newer, which reads tars; empty: without it", default="mke2fs"
    )
    work: str | None = argument("working directory", default=None)


def write_tar(path: Path, count: int) -> None:
    """Writes a tar of empty files, 1000 in each folder."""
    with path.open("wb") as stream:
        for number in range(count):
            folder = b"folder-%d/" % (number // _FOLDER)
            if not number % _FOLDER:
                stream.write(_header(folder, header.DIRECTORY))
            stream.write(_header(folder + b"file-%d" % number, header.REGULAR))
        stream.write(bytes(header.archive_size(0)))


def _header(path: bytes, kind: bytes) -> bytes:
    return member_header(path, kind, mode=0o755, uid=0, gid=0, mtime_ns=0, size=0)


def ours(count: int) -> Step:
    """Returns the step of this project's tool."""
    size = (count + 1000) * _BYTES_PER_FILE
    flags = [f"--size={size}", f"--uuid={_UUID}", "--nojournal", "--layer=root.tar", "--output=root.img.tar"]
    return Step("ext4_image", tool_command("ext4_image", *flags))


def stock(count: int, mke2fs: str) -> list[Step]:
    """Returns the step of mke2fs, if it is to be measured."""
    if not mke2fs:
        return []
    options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-U", _UUID, "-d", "root.tar", "root.img"]
    size = (count + 1000) * _BYTES_PER_FILE // 1024
    return [Step("mke2fs -d", [*shlex.split(mke2fs), *options, str(size)])]


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    print(f"{'files':>9}  {'':<12} {'wall s':>8} {'cpu s':>8} {'MiB':>6}")
    for count in arguments.files:
        with tempfile.TemporaryDirectory(dir=arguments.work) as work:
            write_tar(Path(work, "root.tar"), count)
            for step in (ours(count), *stock(count, arguments.mke2fs)):
                found = measure(step, Path(work))
                print(f"{count:>9}  {step.name:<12} {found.wall:8.2f} {found.cpu:8.2f} {found.memory / _MIB:6.0f}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
