"""Counts the blocks of an ext4 file system that differ after a change of one file, for a root tar with files over it.

The result doesn't depend on the machine.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.json_spec import Size
from tools.ext4.options import Ext4Options
from tools.ext4.writer import write_ext4
from tools.image.compare import differing_blocks
from tools.image.extents import Image
from tools.rootfs.assemble import assemble_layers
from tools.rootfs.tree_spec import Entry, LayerSpec, RootfsArguments
from tools.tree.node import File, walk
from tools.tree.tar_reader import read_archive

_MIB = 1 << 20
_BLOCK = 4096
_BINARY = "opt/bin/large"
_BINARY_SIZE = 30 * _MIB

Files = dict[str, int]
"""Sizes of files by their paths."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    root_tar: str = argument("the tar with the base")
    image_size: Size = argument("size of the file system", default=3 << 30)
    files: int = argument("number of small files over the base", default=150)


def overlay(count: int) -> Files:
    """Returns small files, five programs, and a large one."""
    files = {f"etc/own/{number}.conf": 100 + number * 1000 % 20000 for number in range(count)}
    files |= {f"opt/bin/{number}": number * 3 * _MIB for number in range(1, 6)}
    return files | {_BINARY: _BINARY_SIZE}


def changes(root_tar: str, files: Files) -> Iterator[tuple[str, int, Files]]:
    """Yields a description, the number of blocks of what is new, and the files, for each change."""
    name = "etc/own/0.conf"
    yield "a configuration file is 10 blocks longer", 11, files | {name: files[name] + 10 * _BLOCK}
    yield "a configuration file is added", 1, files | {"etc/new.conf": 100}
    yield "a configuration file is removed", 0, {path: size for path, size in files.items() if path != name}
    known = (path for path, node in walk(read_archive(root_tar).root) if isinstance(node, File) and node.content.size)
    path = next(path for path in known if path.startswith(b"etc/")).decode()
    yield f"/{path} of the base is replaced", 1, files | {path: 100}
    yield "the large program has another content", _BINARY_SIZE // _BLOCK, files | {_BINARY: _BINARY_SIZE - 1}
    larger = _BINARY_SIZE + _MIB
    yield "the large program has another content, 1 MiB more", larger // _BLOCK, files | {_BINARY: larger}


def image_of(arguments: Arguments, files: Files, folder: Path) -> Image:
    """Returns the file system; the content of a file depends on its size alone."""
    entries = []
    for path, size in files.items():
        source = folder / str(size)
        if not source.exists():
            source.write_bytes(random.Random(size).randbytes(size))
        entries.append(Entry(path, source=str(source)))
    layers = (LayerSpec(archive=arguments.root_tar), LayerSpec("overlay", entries=entries, overrides=["/**"]))
    tree = assemble_layers(RootfsArguments(layers=layers), "root")
    return write_ext4(tree.root, Ext4Options(size=arguments.image_size, uuid=UUID(int=1)), tree.overlay)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    with tempfile.TemporaryDirectory() as work:
        files = overlay(arguments.files)
        before = image_of(arguments, files, Path(work))
        print(f"{before.data_size // _BLOCK} blocks with data")
        print(f"{'change':<54} {'new':>6} {'differ':>7} {'besides':>8}")
        for what, new, changed in changes(arguments.root_tar, files):
            found = len(differing_blocks(before, image_of(arguments, changed, Path(work))))
            print(f"{what:<54} {new:>6} {found:>7} {found - new:>8}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
