"""Variable stores of the firmware OVMF: puts the keys of Secure Boot into an empty one.

The format is that of EDK II (MdePkg PiFirmwareVolume.h, MdeModulePkg VariableFormat.h): a firmware volume with a store
of authenticated variables, one after the other, then 0xff.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence

from tools.core.errors import UserError
from tools.uefi.keys import ATTRIBUTES, VENDORS, Variable, encoded_time

_VOLUME = uuid.UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")  # EFI_SYSTEM_NV_DATA_FV_GUID
_STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")  # EFI_AUTHENTICATED_VARIABLE_GUID
_ENABLE = uuid.UUID("f0a30bc7-af08-4556-99c4-001009c93a44")  # EFI_SECURE_BOOT_ENABLE_DISABLE_GUID

_VOLUME_HEADER = struct.Struct("<16x16s16xH")  # up to HeaderLength
_STORE_HEADER = struct.Struct("<16sIBB6x")
_FORMATTED, _HEALTHY = 0x5A, 0xFE
_VARIABLE = struct.Struct("<HBxIQ16sIII16s")
_START, _ADDED = 0x55AA, 0x3F
_BOOT_ALONE = 0x03
_FREE = b"\xff"
_ALIGNMENT = 4


def store_with_keys(template: bytes, variables: Sequence[Variable], name: str) -> bytes:
    """Returns a variable store with the keys, and with Secure Boot enabled.

    Args:
        template: an empty store, such as OVMF_VARS_4M.fd of Debian's package ovmf.
        variables: PK, KEK and db.
        name: of the template, for messages.

    Raises:
        UserError: the template is not an empty variable store, or is too small.
    """
    begin, end = _room(template, name)
    if template[begin:end].strip(_FREE):
        raise UserError(f"{name}: has variables already; give an empty variable store, such as OVMF_VARS_4M.fd")
    records = b"".join(
        _record(each.name, VENDORS[each.name], ATTRIBUTES, encoded_time(each.time), each.data) for each in variables
    )
    records += _record("SecureBootEnable", _ENABLE, _BOOT_ALONE, bytes(16), b"\1")
    if len(records) > end - begin:
        raise UserError(f"{name}: has {end - begin} bytes for variables, and the keys need {len(records)}")
    return template[:begin] + records.ljust(end - begin, _FREE) + template[end:]


def _room(template: bytes, name: str) -> tuple[int, int]:
    """Returns where variables begin and end."""
    try:
        guid, volume_header = _VOLUME_HEADER.unpack_from(template)
        store, size, form, state = _STORE_HEADER.unpack_from(template, volume_header)
    except struct.error:
        guid = store = b""
        volume_header = size = form = state = 0
    if (guid, store, form, state) != (_VOLUME.bytes_le, _STORE.bytes_le, _FORMATTED, _HEALTHY):
        raise UserError(f"{name}: is not a variable store of OVMF with authenticated variables")
    end = volume_header + size
    if end > len(template):
        raise UserError(f"{name}: is truncated: its variables end at byte {end}, and it has {len(template)}")
    return volume_header + _STORE_HEADER.size, end


def _record(name: str, vendor: uuid.UUID, attributes: int, time: bytes, data: bytes) -> bytes:
    text = f"{name}\0".encode("utf-16-le")
    header = _VARIABLE.pack(_START, _ADDED, attributes, 0, time, 0, len(text), len(data), vendor.bytes_le)
    record = header + text + data
    return record + _FREE * (-len(record) % _ALIGNMENT)
