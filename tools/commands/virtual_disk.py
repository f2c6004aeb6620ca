"""Writes the disk image in a tar as a qcow2, VHDX or VMDK file, the disks of virtual machines.

The file's size follows what the disk holds. Identifiers in it are derived from the disk's GUID, so it is reproducible.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.progress import progress
from tools.gpt.reader import read_table
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.virtual_disk.clusters import SECTOR
from tools.virtual_disk.qcow2 import qcow2_image
from tools.virtual_disk.vhdx import vhdx_image
from tools.virtual_disk.vmdk import vmdk_image


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    disk: FileName = argument("the image: a tar whose one member it is, or a raw file", positional=True)
    output: OutputName = argument("the file to write", positional=True)
    format: Literal["qcow2", "vhdx", "vmdk"] = argument("format of the output")


def virtual_disk(arguments: Arguments) -> Image:
    """Returns the file to write.

    Raises:
        UserError: the image has no valid partition table, or cannot be in a file of the format.
    """
    image = open_image(arguments.disk)
    table = read_table(image, arguments.disk)
    try:
        if arguments.format == "qcow2":
            return qcow2_image(image)
        if arguments.format == "vmdk":
            return vmdk_image(image, table.disk_guid, os.path.basename(arguments.output))
        if table.sector_size != SECTOR:
            raise UserError(f"the disk has sectors of {table.sector_size} bytes; write it as qcow2")
        return vhdx_image(image, table.disk_guid)
    except UserError as error:
        raise UserError(f"{arguments.disk}: {error}") from error


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    image = virtual_disk(arguments)
    with progress(f"writing {arguments.output}", image.data_size) as tell:
        write_raw(image, arguments.output, tell)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
