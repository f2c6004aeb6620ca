"""Prepares the disk of a machine that forgets what it writes; the data of an archive is not copied.

QEMU cannot read a sparse member of a tar. But a qcow2 file of its disk is tables and, after them, the member's data,
which the archive has in one piece. So only the tables are written, and a VMDK descriptor joins the two for QEMU.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from tools.core.errors import UserError
from tools.image.extents import FileRange, Image
from tools.image.holes import BLOCK_SIZE
from tools.image.rawfile import write_raw
from tools.tar.image_file import is_archive, open_image
from tools.virtual_disk.qcow2 import qcow2_image
from tools.virtual_disk.vmdk import flat_vmdk
from tools.vm.machine import Drive


def forgetful_drive(disk: str, folder: Path) -> Drive:
    """Returns a drive with a disk image, whose writes are discarded when the machine ends.

    The data of an archive stays there if it is in blocks of 4 KiB, as in the archives of these rules; other images are
    copied. The archive may be replaced or removed, but must not be changed in place while the machine runs; and this
    process must not end before QEMU has started.

    Args:
        disk: the disk image, raw or as the one member of a tar.
        folder: empty directory for files of the drive, which only this user can read; kept until the machine ends.

    Raises:
        UserError: the disk image cannot be read, or the directory cannot be written.
    """
    image = open_image(disk)
    if is_archive(disk):
        with contextlib.suppress(UserError):  # a disk that cannot be a qcow2 file
            if (drive := _in_place(qcow2_image(image, BLOCK_SIZE), folder)) is not None:
                return drive
    copy = folder / "disk.img"
    write_raw(image, copy, secret=True)  # the machine will write its keys to it
    return Drive(path=str(copy))


def _in_place(disk: Image, folder: Path) -> Drive | None:
    """Returns the drive for a qcow2 file; None if its data is not one range of a file."""
    *tables, data = disk.extents
    source = data.source
    if not isinstance(source, FileRange) or data.end != disk.size or data.offset % BLOCK_SIZE:
        return None
    if any(isinstance(extent.source, FileRange) for extent in tables):
        return None
    write_raw(Image(data.offset, tables), folder / "tables")
    # By its number, QEMU opens the file that was read here, even when another has its name. It stays open.
    number = os.dup(source.file.fileno())
    (folder / "data").symlink_to(f"/proc/{os.getpid()}/fd/{number}")
    descriptor = folder / "disk.vmdk"
    parts = [("tables", 0, data.offset), ("data", source.start, data.length)]
    write_raw(Image.from_bytes(flat_vmdk(parts)), descriptor)
    file = {"driver": "file", "filename": str(descriptor)}
    return Drive(path="json:" + json.dumps({"file": {"driver": "vmdk", "file": file}}), format="qcow2")
