"""Small SquashFS file systems for tests, and functions that check them with unsquashfs and the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.image.extents import Image
from tools.squashfs.options import SquashfsOptions
from tools.squashfs.reader import read_squashfs
from tools.squashfs.writer import write_squashfs
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.tree.compare import differences
from tools.tree.node import Directory, File

BLOCK = 4096
"""The smallest size of a block, which gives small files several of them."""

OPTIONS = SquashfsOptions(block_size=BLOCK, level=1)
LABEL = {b"security.selinux": b"system_u:object_r:usr_t:s0\0"}
TIMES = (0, 2**32 * 10**9 - 1)
"""The range of times, in nanoseconds."""


def file(data: bytes, **metadata: Any) -> File:
    """Returns a file with the content `data`."""
    return File(content=Image.from_bytes(data), **metadata)


def listing(path: Path) -> str:
    """Returns what unsquashfs lists, with one space between words; the test fails if it finds a fault."""
    return " ".join(ask("unsquashfs", "-lln", "-UTC", path).split())


def statistics(path: Path) -> str:
    """Returns what unsquashfs says of the superblock."""
    return ask("unsquashfs", "-s", path)


def extracted(path: Path, place: Path) -> Path:
    """Returns a new folder with the files of an image, without attributes, which only root may set."""
    ask("unsquashfs", "-no-progress", "-no-xattrs", "-processors", "1", "-d", place, path)
    return place


def checked_image(root: Directory, path: Path, options: SquashfsOptions = OPTIONS) -> Path:
    """Writes a file system to a file; fails the test unless unsquashfs lists it and the reader finds the tree."""
    image = write_squashfs(root, options, threads=1)
    assert_holds(image, root)
    write_raw(image, path)
    listing(path)
    return path


def assert_holds(image: Image, root: Directory) -> None:
    """Fails the test unless the reader finds this tree in an image."""
    assert [str(difference) for difference in differences(root, read_squashfs(image).root)] == []
