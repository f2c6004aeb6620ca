"""Small EROFS file systems for tests, and functions that check them with fsck.erofs and the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from tools.erofs.options import ErofsOptions
from tools.erofs.reader import read_erofs
from tools.erofs.writer import write_erofs
from tools.image.extents import Image
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.tree.compare import differences
from tools.tree.node import Directory, File

ID = UUID("8f0c2d4e-5a61-4b7c-9d8e-0f1a2b3c4d5e")
BLOCK = 4096
OPTIONS = ErofsOptions(uuid=ID)
LABEL = {b"security.selinux": b"system_u:object_r:usr_t:s0\0"}


def file(data: bytes, **metadata: Any) -> File:
    """Returns a file with the content `data`."""
    return File(content=Image.from_bytes(data), **metadata)


def fsck(image: Image, path: Path) -> Path:
    """Writes an image to a file, and fails the test if fsck.erofs finds a fault in it."""
    write_raw(image, path)
    said = ask("fsck.erofs", path)
    assert "<E>" not in said, said
    return path


def dump(path: Path, *arguments: str) -> str:
    """Returns what dump.erofs prints, with one space between words."""
    return " ".join(ask("dump.erofs", *arguments, path).split())


def checked_image(root: Directory, path: Path, options: ErofsOptions = OPTIONS) -> Path:
    """Writes a file system to a file; fails the test unless fsck.erofs accepts it and the reader finds the tree."""
    image = write_erofs(root, options)
    assert_holds(image, root)
    return fsck(image, path)


def assert_holds(image: Image, root: Directory) -> None:
    """Fails the test unless the reader finds this tree in an image."""
    assert [str(difference) for difference in differences(root, read_erofs(image).root)] == []
