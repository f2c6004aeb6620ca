"""Builds the image of a SquashFS file system from archives of its files.

The output is a tar whose one member is the image as a sparse file; with --raw it's the image itself, with holes. It is
the same however many processors there are.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Literal

from tools.core.cli import argument, run
from tools.core.json_spec import Size
from tools.core.progress import progress
from tools.core.worker import is_worker
from tools.image.compression import unchanged
from tools.image.piece_store import PieceStore
from tools.image.spool import Spool
from tools.rootfs.assemble import assemble
from tools.rootfs.image_output import ImageOutput
from tools.rootfs.tree_spec import RootfsArguments
from tools.squashfs.options import SIZE_UNIT, SquashfsOptions
from tools.squashfs.writer import write_squashfs
from tools.tree.metadata import all_nodes
from tools.tree.node import File


@dataclass(frozen=True, kw_only=True)
class SquashfsArguments:
    """The parameters of the file system; see `SquashfsOptions`."""

    compression: Literal["zstd", "gzip", "none"] = argument(
        "how blocks are compressed; zstd by default", default="zstd"
    )
    level: int | None = argument("zstd: 1 to 22, default 15; gzip: 1 to 12, default 9", default=None)
    block_size: Size = argument("what is compressed by itself; a power of 2, 4K to 1M; default 128K", default=128 << 10)
    size: Size | None = argument("size of the image; by default as large as the tree needs", default=None)


@dataclass(frozen=True, kw_only=True)
class Arguments(ImageOutput, SquashfsArguments, RootfsArguments):
    """Arguments of the command line."""


@functools.cache
def _store() -> PieceStore:
    """Returns what a worker keeps: blocks, by their content."""
    return PieceStore()


def main(arguments: Arguments) -> None:
    """Builds the image."""
    options = SquashfsOptions(
        compression=arguments.compression,
        level=arguments.level,
        block_size=arguments.block_size,
        size=arguments.size,
    )
    remember = _store().remembering if is_worker() else unchanged
    tree = assemble(arguments, arguments.name)
    total = sum(node.content.data_size for node in all_nodes(tree) if isinstance(node, File))
    with arguments.naming_errors():
        spool = Spool(os.path.dirname(arguments.output) or ".")
        with progress(f"compressing {arguments.name}", total) as tell:
            image = write_squashfs(tree, options, spool=spool, remember=remember, progress=tell)
    arguments.write(image, SIZE_UNIT)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
