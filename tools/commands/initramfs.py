"""Builds the initial RAM file system of a root tree: a first process, and the programs and kernel modules it needs.

The output is a cpio archive in one zstd frame. `/etc/partitions` in it has the partitions of the disk's layout, one a
line: number, name and GUID. With --kernel_output the kernel that belongs to the modules is written, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import zstandard

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all
from tools.gpt.listing import listing
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.image.stream import buffers
from tools.initramfs.compose import Contents, compose, kernel_version
from tools.initramfs.cpio import cpio
from tools.rootfs.assemble import assemble
from tools.rootfs.tree_spec import RootfsArguments
from tools.tree.node import Directory, File
from tools.tree.paths import components, lookup


@dataclass(frozen=True, kw_only=True)
class Arguments(RootfsArguments):
    """Arguments of the command line."""

    output: OutputName = argument("file to write the initial RAM file system to")
    kernel_output: OutputName | None = argument("file to write the kernel to", default=None)
    init: FileName = argument("file that becomes the first process")
    partitions: FileName = argument("partitions.csv of the disk")
    disk_guid: str = argument("GUID of the disk, from which those of partitions without one are derived")
    programs: tuple[str, ...] = argument("path in the tree of a program, which brings its libraries", default=())
    paths: tuple[str, ...] = argument("path in the tree of another file to take along", default=())
    modules: tuple[str, ...] = argument("kernel module to load, in this order, after those it needs", default=())
    folders: tuple[str, ...] = argument("empty directory to make", default=())
    level: int = argument("zstd level, 1 to 22", default=12)


def main(arguments: Arguments) -> None:
    """Builds what the command line asks for."""
    if not 1 <= arguments.level <= zstandard.MAX_COMPRESSION_LEVEL:
        raise UserError(f"--level: must be 1 to {zstandard.MAX_COMPRESSION_LEVEL}, not {arguments.level}")
    origin = "the root tree"
    root = assemble(arguments, origin)
    tree = compose(
        root,
        Contents(
            init=Image.from_file(arguments.init),
            programs=arguments.programs,
            paths=arguments.paths,
            modules=arguments.modules,
            folders=arguments.folders,
            files={"etc/partitions": Image.from_bytes(listing(arguments.partitions, arguments.disk_guid))},
        ),
        origin,
    )
    _write_compressed(arguments.output, cpio(tree), arguments.level)
    if arguments.kernel_output is not None:
        write_raw(kernel(root, origin), arguments.kernel_output)


def kernel(root: Directory, origin: str) -> Image:
    """Returns the kernel that the modules of a root tree belong to.

    Raises:
        UserError: it is not there.
    """
    path = f"boot/vmlinuz-{kernel_version(root, origin)}"
    node = lookup(root, components(path), follow=True)
    if not isinstance(node, File):
        raise UserError(f"{origin}: has no /{path}, the kernel of its modules")
    return node.content


def _write_compressed(path: str, image: Image, level: int) -> None:
    # One frame: the kernel takes what follows a frame for another archive, not for the rest of this one.
    compressor = zstandard.ZstdCompressor(level=level, write_content_size=True).compressobj(size=image.size)
    with replacing(path) as fd:
        for buffer in buffers(image):
            write_all(fd, compressor.compress(buffer))
        write_all(fd, compressor.flush())


if __name__ == "__main__":
    run(main, Arguments, __doc__)
