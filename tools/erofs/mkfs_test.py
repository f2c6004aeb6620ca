"""Reads file systems that mkfs.erofs writes, and compares them with the folder and with the writer's."""

import os
import random

import pytest

from tools.core.errors import UserError
from tools.erofs.reader import read_erofs
from tools.erofs.writer import write_erofs
from tools.image.extents import Image
from tools.testing.erofs_images import ID, OPTIONS
from tools.testing.folders import read_folder
from tools.testing.oracles import ask
from tools.tree.compare import differences
from tools.tree.node import walk

TIMES = (1_700_000_000_000_000_000, 1_700_000_000_123_456_789)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with files of many sizes, links of both kinds, pipes and a large directory."""
    chance = random.Random(4711)
    place = tmp_path_factory.mktemp("mkfs") / "folder"
    (place / "dir" / "dir").mkdir(parents=True)
    for index in range(60):
        content = chance.randbytes(int(2 ** chance.uniform(0, 17)))
        (place / f"file-{index}").write_bytes(content)
        os.utime(place / f"file-{index}", ns=(0, TIMES[0] + chance.randrange(10**9)))
    for index in range(700):
        (place / "dir" / f"{index:03}{'x' * (index % 50)}").symlink_to("t" * (index % 100 + 1))
    (place / "dir" / "same").hardlink_to(place / "file-1")
    (place / "zeros").write_bytes(bytes(100_000))
    (place / "twice").write_bytes((place / "file-2").read_bytes() * 2)
    os.mkfifo(place / "pipe")
    (place / "file-3").chmod(0o4711)
    for path, _ in walk(read_folder(place)):
        os.utime(place / os.fsdecode(path), ns=(0, TIMES[len(path) % 2]), follow_symlinks=False)
    return place


def mkfs(folder, *arguments):
    image = folder.with_name("image")
    image.unlink(missing_ok=True)
    ask("mkfs.erofs", f"-U{ID}", "--preserve-mtime", *arguments, image, folder)
    return Image.from_file(image)


@pytest.mark.parametrize("arguments", [(), ("-Eforce-inode-extended",), ("-Enoinline_data",), ("--chunksize=4096",)])
def test_folder(folder, arguments):
    found = read_erofs(mkfs(folder, *arguments))
    assert [str(each) for each in differences(read_folder(folder), found.root)] == []
    assert found.superblock.uuid == ID.bytes


def test_sizes_are_alike(folder):
    image = write_erofs(read_folder(folder), OPTIONS)
    assert image.size <= mkfs(folder, "-x-1").size * 1.01


def test_compressed_files_are_refused(folder):
    with pytest.raises(UserError, match=r"^a\.img: (inode \d+ is compressed|.* unsupported features)"):
        read_erofs(mkfs(folder, "-zlz4"), "a.img")
