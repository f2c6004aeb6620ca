"""Writes the disk image in a tar as a qcow2, VHDX or VMDK file, the disks of virtual machines, or as an ISO image.

The file's size follows what the disk holds; an ISO image is a sparse file of the disk's size. Identifiers are derived
from the disk's GUID, so the file is reproducible.
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
from tools.gpt.table import ENTRY_COUNT, HEADER, Table
from tools.gpt.types import EFI_SYSTEM
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.iso.hybrid import STRUCTURES_BEGIN, Part, hybrid_image
from tools.iso.names import label_from
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
    format: Literal["iso", "qcow2", "vhdx", "vmdk"] = argument("format of the output")
    label: str | None = argument(
        "volume identifier of an ISO image, of A-Z, 0-9 and _; by default from the output's name", default=None
    )


def virtual_disk(arguments: Arguments) -> Image:
    """Returns the file to write.

    Raises:
        UserError: the image has no valid partition table, or cannot be in a file of the format; or there is a label
            without a place for it.
    """
    if arguments.label is not None and arguments.format != "iso":
        raise UserError(f"--label: a file of the format {arguments.format} has no label; leave it out")
    image = open_image(arguments.disk)
    table = read_table(image, arguments.disk)
    try:
        if arguments.format == "iso":
            return _iso_image(image, table, arguments)
        if arguments.format == "qcow2":
            return qcow2_image(image)
        if arguments.format == "vmdk":
            return vmdk_image(image, table.disk_guid, os.path.basename(arguments.output))
        if table.sector_size != SECTOR:
            raise UserError(f"the disk has sectors of {table.sector_size} bytes; write it as qcow2")
        return vhdx_image(image, table.disk_guid)
    except UserError as error:
        raise UserError(f"{arguments.disk}: {error}") from error


def _iso_image(disk: Image, table: Table, arguments: Arguments) -> Image:
    """Returns a disk as an ISO image that firmware starts from the disk's first EFI system partition."""
    parts = [Part(entry.name, entry.offset, entry.size) for entry in table.entries]
    systems = [part for entry, part in zip(table.entries, parts, strict=True) if entry.type == EFI_SYSTEM]
    if not systems:
        raise UserError(
            "has no EFI system partition, from which an ISO image is started; give a partition of the layout the type U"
        )
    label = arguments.label
    if label is None:
        label = label_from(os.path.splitext(os.path.basename(arguments.output))[0])
    _check_table_end(disk, table.sector_size)
    return hybrid_image(disk, parts, systems[0], label)


def _check_table_end(disk: Image, sector: int) -> None:
    """Checks that the table ends before the structures of an ISO image; it may be larger than that of a disk_image."""
    *_, entries_lba, count, entry_size, _ = HEADER.unpack(disk.read(sector, HEADER.size))
    end = entries_lba * sector + count * entry_size
    if end > STRUCTURES_BEGIN:
        raise UserError(
            f"the partition table has {count} entries and ends at byte {end}, and the structures of an ISO image begin "
            f"at {STRUCTURES_BEGIN}; give the table {ENTRY_COUNT} entries"
        )


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    image = virtual_disk(arguments)
    with progress(f"writing {arguments.output}", image.data_size) as tell:
        write_raw(image, arguments.output, tell)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
