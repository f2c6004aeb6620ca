"""Makes a disk that systemd verifies and mounts by itself, of a file system, its hash tree, and a signature.

The output is a raw file with holes. Each input is a tar with one image, or a raw file.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.core.progress import progress
from tools.ddi.disk import discoverable_disk, systemd_architecture
from tools.ddi.signature import read_root_hash
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    data: FileName = argument("the file system")
    hashes: FileName = argument("its dm-verity hash tree")
    root_hash_file: FileName = argument("file with the root hash, in hexadecimal digits")
    signature: FileName = argument("the signature partition, from verity_signature_image")
    architecture: str = argument("of the machines, as uname(1) names it")
    output: OutputName = argument("the file to write")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    disk = discoverable_disk(
        systemd_architecture(arguments.architecture),
        read_root_hash(arguments.root_hash_file),
        open_image(arguments.data),
        open_image(arguments.hashes),
        open_image(arguments.signature),
    )
    with progress(f"writing {arguments.output}", disk.data_size) as tell:
        write_raw(disk, arguments.output, tell)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
