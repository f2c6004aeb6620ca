"""Shows how time and memory of ext4_image grow with files, with data and with holes, next to mke2fs -d and cp.

All three get the same tar: of empty files, 1000 in each folder; of files of 1 MiB of data; or of one file that is a
hole except for 1 MiB. cp only copies the tar, the least that can be done with data. Prints a table in Markdown.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.measure import Measure, Step, best_of, tool_command
from tools.core.cli import argument, run
from tools.core.json_spec import Size
from tools.image.extents import Data, Extent, Image
from tools.image.rawfile import write_raw
from tools.tar import header
from tools.tar.member_header import member_header
from tools.tar.sparse_archive import Member, archive_of

_UUID = "6b0ef1a1-4a05-4b0e-9a0c-2f6a0d3c1f5e"
_MIB = 1 << 20
_FOLDER = 1000
_BYTES_PER_FILE = 16384
_ROOM = 32 * _MIB
_COLUMNS = ("grows with", "size", "s", "CPU s", "MiB", "CPU s / mke2fs -d", "MiB of mke2fs -d", "s / cp")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    files: tuple[int, ...] = argument("a number of files", default=(1000, 10_000, 100_000, 1_000_000))
    data: tuple[Size, ...] = argument("a size of data", default=(100 << 20, 1 << 30, 10 << 30))
    holes: tuple[Size, ...] = argument("a size of a file that is a hole", default=(1 << 30, 1 << 34, 1 << 38))
    runs: int = argument("number of runs of each command; the best counts", default=1)
    mke2fs: str = argument(
        "the command for mke2fs 1.47.1 or newer, which reads tars; empty: without it", default="mke2fs"
    )
    work: str | None = argument("working directory, with space for three times the data", default=None)


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured.

    Attributes:
        grows_with: what the size is of.
        size: in text.
        write_tar: writes the tar to a path.
        image_size: size of the file system in bytes.
    """

    grows_with: str
    size: str
    write_tar: Callable[[Path], None]
    image_size: int


def cases(arguments: Arguments) -> Iterator[Case]:
    """Yields all cases of a command line."""
    for count in arguments.files:
        yield Case("files", f"{count}", partial(write_files, count=count), (count + 1000) * _BYTES_PER_FILE)
    for size in arguments.data:
        count = -(-size // _MIB)
        yield Case("data", f"{count} MiB", partial(write_data, count=count), size + size // 32 + _ROOM)
    for size in arguments.holes:
        yield Case("holes", f"{size / 1024**3:g} GiB", partial(write_hole, size=size), size + size // 8 + _ROOM)


def write_files(path: Path, count: int) -> None:
    """Writes a tar of empty files, 1000 in each folder."""
    with path.open("wb") as stream:
        for number in range(count):
            folder = b"folder-%d/" % (number // _FOLDER)
            if not number % _FOLDER:
                stream.write(_header(folder, header.DIRECTORY))
            stream.write(_header(folder + b"file-%d" % number, header.REGULAR))
        stream.write(bytes(header.archive_size(0)))


def write_data(path: Path, count: int) -> None:
    """Writes a tar of files of 1 MiB, in which no two blocks are equal."""
    block = os.urandom(_MIB - 8)
    with path.open("wb") as stream:
        for number in range(count):
            stream.write(_header(b"file-%d" % number, header.REGULAR, _MIB))
            stream.write(number.to_bytes(8, "little") + block)
        stream.write(bytes(header.archive_size(0)))


def write_hole(path: Path, size: int) -> None:
    """Writes a tar of one file of `size` bytes, of which all but 1 MiB at its end is a hole."""
    image = Image(size, [Extent(size - _MIB, _MIB, Data(os.urandom(_MIB)))])
    write_raw(archive_of([Member.of("file", image)]).image, path)


def _header(path: bytes, kind: bytes, size: int = 0) -> bytes:
    return member_header(path, kind, mode=0o755, uid=0, gid=0, mtime_ns=0, size=size)


def ours(size: int) -> Step:
    """Returns the step of this project's tool, for a file system of `size` bytes."""
    flags = [f"--size={size}", f"--uuid={_UUID}", "--nojournal", "--layer=root.tar", "--output=root.img.tar"]
    return Step("ext4_image", tool_command("ext4_image", *flags))


def stock(size: int, mke2fs: str) -> Step:
    """Returns the step of mke2fs."""
    options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-U", _UUID, "-d", "root.tar", "root.img"]
    return Step("mke2fs -d", [*shlex.split(mke2fs), *options, str(size // 1024)])


def row(case: Case, arguments: Arguments, folder: Path) -> list[str]:
    """Measures a case; returns the fields of its row of the table."""
    case.write_tar(folder / "root.tar")
    found = best_of(ours(case.image_size), arguments.runs, folder)
    (folder / "root.img.tar").unlink()
    copied = best_of(Step("cp", ["cp", "--reflink=never", "root.tar", "copy.tar"]), arguments.runs, folder)
    (folder / "copy.tar").unlink()
    theirs = best_of(stock(case.image_size, arguments.mke2fs), arguments.runs, folder) if arguments.mke2fs else None
    return [
        case.grows_with,
        case.size,
        f"{found.wall:.2f}",
        f"{found.cpu:.2f}",
        f"{found.memory / _MIB:.0f}",
        *_compared(found, theirs),
        f"{found.wall / copied.wall:.1f}",
    ]


def _compared(found: Measure, theirs: Measure | None) -> tuple[str, str]:
    if theirs is None:
        return "", ""
    return f"{found.cpu / theirs.cpu:.2f}", f"{theirs.memory / _MIB:.0f}"


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    print(_line(_COLUMNS))
    print(_line(["---", "---", *["---:"] * (len(_COLUMNS) - 2)]))
    for case in cases(arguments):
        with tempfile.TemporaryDirectory(dir=arguments.work) as work:
            print(_line(row(case, arguments, Path(work))), flush=True)


def _line(fields: Iterable[str]) -> str:
    return f"| {' | '.join(fields)} |"


if __name__ == "__main__":
    run(main, Arguments, __doc__)
