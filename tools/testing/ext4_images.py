"""Small ext4 file systems for tests, and functions that check them with e2fsck, debugfs and the reader."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tools.ext4.fit import FitError
from tools.ext4.format.constants import LOST_AND_FOUND
from tools.ext4.options import Ext4Options
from tools.ext4.reader import read_ext4
from tools.ext4.writer import write_ext4
from tools.image.extents import Image
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.tree.compare import differences
from tools.tree.node import Directory, File

ID = UUID("8f0c2d4e-5a61-4b7c-9d8e-0f1a2b3c4d5e")
MIB = 1 << 20
GIB = 1 << 30


def options(size: int, **changes: Any) -> Ext4Options:
    """Returns the parameters of a file system with a fixed UUID."""
    return Ext4Options(size=size, uuid=ID, **changes)


def minimum_size(root: Directory, parameters: Ext4Options) -> int:
    """Returns the size in bytes of the smallest file system that holds a tree, from the `FitError` of a smaller one."""
    with pytest.raises(FitError) as caught:
        write_ext4(root, replace(parameters, size=0))
    return caught.value.size


def fsck(image: Image, path: Path) -> Path:
    """Writes an image to a file, and fails the test if e2fsck reports anything about it."""
    write_raw(image, path)
    said = ask("e2fsck", "-fn", path)
    passes = [line for line in said.splitlines() if line.startswith("Pass ")]
    lines = [line for line in said.splitlines() if not line.startswith(("Pass ", "e2fsck "))]
    assert len(passes) == 5, said
    assert len(lines) == 1, said
    assert re.fullmatch(r".*: \d+/\d+ files \(\d+\.\d% non-contiguous\), \d+/\d+ blocks", lines[0]), said
    return path


def checked_image(root: Directory, parameters: Ext4Options, path: Path) -> Path:
    """Writes a file system to a file; fails the test unless e2fsck accepts it and the reader finds the same tree."""
    image = write_ext4(root, parameters)
    assert_holds(image, root)
    return fsck(image, path)


def debugfs(path: Path, request: str) -> str:
    """Returns the output of a debugfs request, without the line with its version."""
    lines = ask("debugfs", "-R", request, path).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("debugfs 1."))


def file(data: bytes, **metadata: Any) -> File:
    """Returns a file with the content `data`."""
    return File(content=Image.from_bytes(data), **metadata)


def can_be_held(root: Directory) -> bool:
    """Returns whether /lost+found, if present, is a directory."""
    return isinstance(root.entries.get(LOST_AND_FOUND), Directory | None)


def without_lost_and_found(root: Directory) -> Directory:
    """Returns the tree without /lost+found."""
    return replace(root, entries={name: node for name, node in root.entries.items() if name != LOST_AND_FOUND})


def assert_holds(image: Image, root: Directory) -> None:
    """Fails the test unless the reader finds this tree, and perhaps an additional /lost+found, in an image."""
    found = read_ext4(image).root
    assert LOST_AND_FOUND in found.entries
    if LOST_AND_FOUND not in root.entries:
        found = without_lost_and_found(found)
    assert [str(difference) for difference in differences(root, found)] == []
