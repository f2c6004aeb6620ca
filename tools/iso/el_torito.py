"""Packs the boot catalog of El Torito, which UEFI firmware finds the EFI system partition of a CD-ROM by.

See "El Torito" Bootable CD-ROM Format Specification, version 1.0, and UEFI specification 2.10, section 13.3.2.1
("ISO-9660 and El Torito").
"""

from __future__ import annotations

import struct

from tools.iso.descriptors import BLOCK, boot_record

_SYSTEM = b"EL TORITO SPECIFICATION"

_EFI = 0xEF
"""Platform of an EFI system partition (UEFI 13.3.2.1)."""

_VALIDATION = struct.Struct("<BBH24sHH")
"""Section 2.1: header, platform, reserved, identifier, checksum, key."""

_HEADER, _KEY = 1, 0xAA55
_CHECKSUM_OFFSET = 28

_DEFAULT = struct.Struct("<BBHBBHI20x")
"""Section 2.2: boot indicator, media type, load segment, system type, unused, sector count, first block."""

_BOOTABLE, _NO_EMULATION = 0x88, 0
_VIRTUAL_SECTOR = 512
_MAX_SECTORS = 0xFFFF

_TO_THE_END = 0
"""Sector count of a partition that is larger than the field can say: to the end of the medium (UEFI 13.3.2.1)."""


def el_torito_record(catalog: int) -> bytes:
    """Packs the boot record, which has to be at block 17 (El Torito, section 3).

    Args:
        catalog: block of the boot catalog.
    """
    return boot_record(_SYSTEM, struct.pack("<I", catalog))


def boot_catalog(block: int, size: int) -> bytes:
    """Packs a boot catalog with a validation entry and a default entry (El Torito, section 2); one block.

    Args:
        block: where the EFI system partition begins.
        size: of the partition in bytes.
    """
    sectors = -(-size // _VIRTUAL_SECTOR)
    count = sectors if sectors <= _MAX_SECTORS else _TO_THE_END
    default = _DEFAULT.pack(_BOOTABLE, _NO_EMULATION, 0, 0, 0, count, block)
    return (_validation_entry() + default).ljust(BLOCK, b"\0")


def _validation_entry() -> bytes:
    """Packs the validation entry, whose 16 words have the sum 0."""
    entry = _VALIDATION.pack(_HEADER, _EFI, 0, b"", 0, _KEY)
    checksum = -sum(struct.unpack("<16H", entry)) & 0xFFFF
    return entry[:_CHECKSUM_OFFSET] + struct.pack("<H", checksum) + entry[_CHECKSUM_OFFSET + 2 :]
