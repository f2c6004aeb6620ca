"""Writes the disk image in a tar as a raw file with holes, for virtual machines.

Under `bazel run`, a relative path is relative to the folder that Bazel was called from.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.progress import progress
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    disk: str = argument("the image: a tar whose one member it is, or a raw file")
    output: str = argument("the file to write", default="disk.img")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    output = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""), arguments.output)
    image = open_image(arguments.disk)
    with progress(f"writing {output}", image.data_size) as tell:
        write_raw(image, output, tell)
    print(f"{output}: {image.size} bytes, of which {image.data_size} are data")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
