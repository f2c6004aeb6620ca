"""Writes the root tree of an OCI image as a tar: its layers, one above the other, with their whiteouts applied.

The image is a folder in the OCI image layout. The digests of its manifest, configuration and layers are checked.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName, Size
from tools.core.progress import progress
from tools.image.rawfile import write_raw
from tools.oci.root import read_root
from tools.tree.tar_writer import tar_image


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    layout: FileName = argument("the folder with index.json and blobs", positional=True)
    output: OutputName = argument("the tar to write", positional=True)
    architecture: str = argument("of the image, as uname(1) names it, where there are several", default="x86_64")
    max_size: Size = argument("largest size of all layers together, decompressed", default=64 << 30)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    folder = os.path.dirname(os.path.abspath(arguments.output))
    with tempfile.TemporaryDirectory(prefix=".layers.", dir=folder) as scratch:
        image = tar_image(read_root(arguments.layout, arguments.architecture, scratch, arguments.max_size))
        with progress(f"writing {arguments.output}", image.data_size) as tell:
            write_raw(image, arguments.output, tell)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
