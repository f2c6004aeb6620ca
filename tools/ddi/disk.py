"""Describes a disk that systemd opens by itself: a file system, its hash tree, and the signature of its root hash.

See https://uapi-group.org/specifications/specs/discoverable_disk_image/. All that identifies the disk is made from the
root hash, so that disks with the same content are the same.
"""

from __future__ import annotations

import uuid
from uuid import UUID

from tools.core.errors import UserError
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import UNIT, parse_layout
from tools.gpt.table import encode
from tools.image.extents import Image

_ARCHITECTURES = {
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "x86",
    "loongarch64": "loongarch64",
    "ppc64le": "ppc64-le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "x86_64": "x86-64",
}
"""systemd's names of architectures by those of uname(1)."""

_READ_ONLY = "GUID:60"


def systemd_architecture(name: str) -> str:
    """Returns systemd's name of an architecture that has partition types.

    Args:
        name: as uname(1) names it.

    Raises:
        UserError: it is none of these.
    """
    if name not in _ARCHITECTURES:
        raise UserError(f"architecture {name!r} is none of {', '.join(_ARCHITECTURES)}")
    return _ARCHITECTURES[name]


def root_hash_uuids(root_hash: str) -> tuple[UUID, UUID]:
    """Returns the UUIDs of the partitions with data and with hash tree: first and last 128 bits of the root hash.

    Discoverable Partitions Specification, section "Verity".
    """
    return UUID(hex=root_hash[:32]), UUID(hex=root_hash[-32:])


def discoverable_disk(architecture: str, root_hash: str, data: Image, hashes: Image, signature: Image) -> Image:
    """Returns a disk with partitions of the types `root-ARCH`, `root-ARCH-verity` and `root-ARCH-verity-sig`.

    Args:
        architecture: as systemd names it.
        root_hash: 64 hexadecimal digits.
        data: the file system.
        hashes: its dm-verity hash tree.
        signature: the content of the signature partition.

    Raises:
        UserError: an image is not made of whole sectors.
    """
    data_uuid, hashes_uuid = root_hash_uuids(root_hash)
    disk_guid = uuid.uuid5(data_uuid, "disk")
    contents = {
        f"root-{architecture}": (data, data_uuid),
        f"root-{architecture}-verity": (hashes, hashes_uuid),
        f"root-{architecture}-verity-sig": (signature, uuid.uuid5(disk_guid, "signature")),
    }
    rows = ["name,start,size,type,uuid,comment,attributes"]
    for name, (image, guid) in contents.items():
        if image.size % UNIT:
            raise UserError(f"{name}: the image has {image.size} bytes, which are not whole sectors of {UNIT} bytes")
        rows.append(f"{name},,{image.size // UNIT},{name},{guid},,{_READ_ONLY}")
    layout = parse_layout("\n".join(rows), "the disk")
    table = place(layout, minimum_disk_size(layout), disk_guid)
    disk = encode(table)
    begin, end = table.entries[0].offset, table.entries[-1].offset + table.entries[-1].size
    parts = [(0, disk.slice(0, begin)), (end, disk.slice(end, disk.size - end))]
    parts += [(entry.offset, contents[entry.name][0]) for entry in table.entries]
    return Image.compose(disk.size, sorted(parts, key=lambda part: part[0]))
