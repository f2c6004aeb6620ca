"""Reads file systems that mksquashfs writes, and compares them with the folder and with the writer's."""

import os
import random

import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.squashfs.options import SquashfsOptions
from tools.squashfs.reader import read_squashfs
from tools.squashfs.writer import write_squashfs
from tools.testing.folders import read_folder
from tools.testing.oracles import ask
from tools.tree.compare import differences
from tools.tree.node import walk

TIME = 1_700_000_000 * 10**9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with files of many sizes, links of both kinds, pipes and a large directory."""
    chance = random.Random(4711)
    place = tmp_path_factory.mktemp("mksquashfs") / "folder"
    (place / "dir" / "dir").mkdir(parents=True)
    words = [chance.randbytes(6) for _ in range(2000)]
    for index in range(60):
        size = int(2 ** chance.uniform(0, 18))
        text = b"".join(chance.choice(words) for _ in range(size // 6))
        (place / f"file-{index}").write_bytes(chance.choice((text, chance.randbytes(size))))
    for index in range(700):
        (place / "dir" / f"{index:03}{'x' * (index % 50)}").symlink_to("t" * (index % 100 + 1))
    (place / "dir" / "same").hardlink_to(place / "file-1")
    (place / "zeros").write_bytes(bytes(500_000))
    (place / "copy").write_bytes((place / "file-2").read_bytes())
    (place / "sparse").write_bytes(b"x" * 10 + bytes(400_000) + b"y" * 300_000)
    os.mkfifo(place / "pipe")
    (place / "file-3").chmod(0o4711)
    for path, _ in walk(read_folder(place)):
        os.utime(place / os.fsdecode(path), ns=(0, TIME + len(path) * 10**9), follow_symlinks=False)
    return place


def mksquashfs(folder, *arguments):
    image = folder.with_name("image")
    image.unlink(missing_ok=True)
    ask("mksquashfs", folder, image, "-no-progress", "-processors", "1", *arguments)
    return Image.from_file(image)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-comp", "gzip"),
        ("-comp", "zstd"),
        ("-comp", "xz"),
        ("-comp", "xz", "-Xbcj", "x86"),
        ("-comp", "gzip", "-Xcompression-level", "1"),
        ("-b", "4096"),
        ("-b", "1M", "-always-use-fragments"),
        ("-no-fragments", "-no-exports", "-no-duplicates"),
        ("-noI", "-noD", "-noF", "-noX"),
        ("-no-xattrs", "-nopad"),
    ],
)
def test_folder(folder, arguments):
    found = read_squashfs(mksquashfs(folder, *arguments))
    assert [str(each) for each in differences(read_folder(folder), found.root)] == []


@pytest.mark.parametrize("name", ["zstd", "gzip"])
def test_sizes_are_alike(folder, name):
    image = write_squashfs(read_folder(folder), SquashfsOptions(compression=name))
    assert image.size <= mksquashfs(folder, "-comp", name).size * 1.01


@pytest.mark.parametrize("name", ["lz4", "lzo", "lzma"])
def test_other_compressions_are_refused(folder, name):
    with pytest.raises(UserError, match=f"^a.img: its compression is {name}, which is not supported; only gzip"):
        read_squashfs(mksquashfs(folder, "-comp", name), "a.img")
