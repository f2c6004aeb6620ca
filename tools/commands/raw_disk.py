"""Writes the disk image in a tar as a raw file with holes, for virtual machines."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.core.progress import progress
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    disk: FileName = argument("the image: a tar whose one member it is, or a raw file", positional=True)
    output: OutputName = argument("the file to write", default="disk.img", positional=True)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    image = open_image(arguments.disk)
    with progress(f"writing {arguments.output}", image.data_size) as tell:
        write_raw(image, arguments.output, tell)
    print(f"{arguments.output}: {image.size} bytes, of which {image.data_size} are data")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
