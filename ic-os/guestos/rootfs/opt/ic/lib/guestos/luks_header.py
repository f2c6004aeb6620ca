"""Checks the LUKS2 header of an encrypted volume, and copies it, for `cryptsetup open --header`.

A header says by itself how a volume is encrypted. Who can write to the disk can put one there that names the cipher
`cipher_null`, for the data or for a key slot: cryptsetup opens it with any key, and the system writes its secrets in
the clear (CVE-2025-59054). So the header must be exactly what lib/volumes.sh formats, but for salts, digest, size of
sectors and alignment: one segment, one key slot, their ciphers, no integrity, no token.

The header is copied before it is checked, and cryptsetup reads the copy alone, since a device can give another header
when it is read again. Of the two copies of the metadata on the disk, cryptsetup would choose one by itself: the first
that is valid is kept, and the other one is left out.

Format: LUKS2 On-Disk Format Specification 1.1, sections 2 and 3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Sequence

from guestos.errors import GuestError

_METADATA = 16384
"""Size of one copy of the metadata in bytes: a binary header and an area of JSON."""
_KEY_SLOT = 258048
"""Size of the key slot in bytes; it follows the second copy of the metadata."""

SIZE = 2 * _METADATA + _KEY_SLOT
"""How much is read of a device, in bytes."""

_LEAST_OFFSET = 16 << 20
_MOST_OFFSET = 64 << 20
"""Bounds of the offset of the data, which depends on the alignment of the disk."""

_BINARY = 4096
_MAGIC = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
_CHECKSUM = slice(448, 512)
_CIPHER = "aes-xts-plain64"
_KEY_BYTES = 64


def main(arguments: Sequence[str]) -> int:
    """Copies the header of DEVICE to COPY, if it passes the check; returns the exit status."""
    if len(arguments) != 2:
        print("usage: copy-luks-header.py DEVICE COPY", file=sys.stderr)
        return 2
    device, copy = arguments
    try:
        with open(device, "rb") as file:
            data = file.read(SIZE)
        header, size = check(data)
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(header)
            file.truncate(size)
    except GuestError as error:
        print(f"<3>{device}: {error}; it is not opened", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"<3>{error.filename or device}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def check(data: bytes) -> tuple[bytes, int]:
    """Returns the header for cryptsetup, with one of the two copies of the metadata, and the offset of the data.

    Args:
        data: the first SIZE bytes of the device.

    Raises:
        GuestError: it is not a header as this system writes it.
    """
    if len(data) != SIZE:
        raise GuestError(f"has {len(data)} bytes, which is too small for a LUKS2 header")
    for number in range(len(_MAGIC)):
        start = number * _METADATA
        if _is_intact(data[start : start + _METADATA], number):
            size = _check_json(data[start + _BINARY : start + _METADATA])
            header = bytearray(data)
            header[(1 - number) * _METADATA : (2 - number) * _METADATA] = bytes(_METADATA)
            return bytes(header), size
    raise GuestError("has no intact LUKS2 header")


def _is_intact(metadata: bytes, number: int) -> bool:
    """Returns whether a copy of the metadata has a binary header, as it is in this place, and its checksum is right."""
    fields = (
        metadata[:6] == _MAGIC[number],
        int.from_bytes(metadata[6:8], "big") == 2,
        int.from_bytes(metadata[8:16], "big") == _METADATA,
        metadata[72:104].rstrip(b"\0") == b"sha256",
        int.from_bytes(metadata[256:264], "big") == number * _METADATA,
    )
    without = metadata[: _CHECKSUM.start] + bytes(64) + metadata[_CHECKSUM.stop :]
    return all(fields) and hashlib.sha256(without).digest() == metadata[_CHECKSUM][:32]


def _check_json(area: bytes) -> int:
    """Checks the JSON; returns the offset of the data in bytes."""
    text, _, rest = area.partition(b"\0")
    if rest.strip(b"\0"):
        raise GuestError("has data after the JSON of its LUKS2 header")
    try:
        found = json.loads(text.decode("ascii"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise GuestError(f"has a LUKS2 header whose JSON is invalid: {error}") from error
    _compare(found, _FORMAT, "")
    return int(found["segments"]["0"]["offset"])


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _compare(found: object, wanted: object, where: str) -> None:
    """Compares JSON with its description: objects by name, functions check values, everything else must be equal."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or found.keys() != wanted.keys():
            names = ", ".join(found) if isinstance(found, dict) else repr(found)
            raise GuestError(
                f"has a LUKS2 header with {where or 'members'}: {names[:200]!r}, not {', '.join(wanted)!r}"
            )
        for name, each in wanted.items():
            _compare(found[name], each, f"{where}.{name}" if where else name)
    elif not (wanted(found) if callable(wanted) else type(found) is type(wanted) and found == wanted):
        expected = "" if callable(wanted) else f", not {wanted!r}"
        raise GuestError(f"has a LUKS2 header with {where} {str(found)[:200]!r}{expected}")


def _bytes_of(length: int) -> Callable[[object], bool]:
    def is_such(value: object) -> bool:
        try:
            return isinstance(value, str) and len(base64.b64decode(value, validate=True)) == length
        except (ValueError, binascii.Error):
            return False

    return is_such


def _is_count(value: object) -> bool:
    return type(value) is int and 1000 <= value < 1 << 32


def _between(least: int, most: int) -> Callable[[object], bool]:
    """Returns a function that returns whether a value is the text of a number of bytes within bounds."""

    def is_such(value: object) -> bool:
        return isinstance(value, str) and bool(re.fullmatch("[1-9][0-9]{0,11}", value)) and least <= int(value) <= most

    return is_such


_FORMAT: dict[str, object] = {
    "keyslots": {
        "0": {
            "type": "luks2",
            "key_size": _KEY_BYTES,
            "af": {"type": "luks1", "stripes": 4000, "hash": "sha256"},
            "area": {
                "type": "raw",
                "offset": str(2 * _METADATA),
                "size": str(_KEY_SLOT),
                "encryption": _CIPHER,
                "key_size": _KEY_BYTES,
            },
            "kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": _is_count, "salt": _bytes_of(32)},
        }
    },
    "tokens": {},
    "segments": {
        "0": {
            "type": "crypt",
            "offset": _between(_LEAST_OFFSET, _MOST_OFFSET),
            "size": "dynamic",
            "iv_tweak": "0",
            "encryption": _CIPHER,
            "sector_size": lambda value: type(value) is int and value in (512, 4096),
        }
    },
    "digests": {
        "0": {
            "type": "pbkdf2",
            "keyslots": ["0"],
            "segments": ["0"],
            "hash": "sha256",
            "iterations": _is_count,
            "salt": _bytes_of(32),
            "digest": _bytes_of(32),
        }
    },
    "config": {"json_size": str(_METADATA - _BINARY), "keyslots_size": _between(_KEY_SLOT, _MOST_OFFSET)},
}
"""The metadata that `cryptsetup luksFormat` writes with the options of lib/volumes.sh."""
