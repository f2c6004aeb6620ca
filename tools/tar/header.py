"""Packs and parses the header blocks of tar archives.

Sources: IEEE Std 1003.1 (pax, "ustar Interchange Format" and "pax Header Block"), the GNU tar manual ("Basic Tar
Format", "Extensions") and tar(5) of libarchive.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

BLOCK = 512
"""The block size in bytes: headers and data start at multiples of it."""

END = bytes(2 * BLOCK)
"""The end of an archive: two blocks of zeros."""

REGULAR, OLD_REGULAR, CONTIGUOUS = b"0", b"\0", b"7"
HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO = b"1", b"2", b"3", b"4", b"5", b"6"
PAX, PAX_GLOBAL, PAX_SOLARIS = b"x", b"g", b"X"
GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE, GNU_DUMP_DIRECTORY, GNU_VOLUME_LABEL = b"L", b"K", b"S", b"D", b"V"

_RECORD = 20 * BLOCK
"""Archives are padded to a multiple of this; 20 is the default blocking factor of tar."""

USTAR_MAGIC = b"ustar\0"

_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_CHECKSUM = slice(148, 156)
_ADLER_MODULUS = 65521


def parse(block: bytes) -> tuple[bytes, ...]:
    """Returns the raw fields of a header block.

    They are: name, mode, uid, gid, size, mtime, checksum, type flag, link name, magic, version, user name, group name,
    major, minor, prefix, padding.
    """
    return _FIELDS.unpack(block)


def build(
    name: bytes,
    kind: bytes,
    *,
    mode: int = 0,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] | None = None,
    prefix: bytes = b"",
) -> bytes:
    """Packs a ustar header. All values except the size must fit, see `fits`; others need an extended header.

    A size of 8 GiB and more is in base 256, an extension of GNU tar that other readers support, too. Sparse members in
    pax format need it: Python's tarfile takes a size in their extended header for the size of the file.

    Args:
        name: up to 100 bytes.
        kind: type flag.
        mode: permissions.
        uid: user ID.
        gid: group ID.
        size: size of the data in bytes.
        mtime: modification time in seconds since the epoch.
        link: target of a symbolic or hard link, up to 100 bytes.
        device: major and minor number of a device.
        prefix: directory part of the name, up to 155 bytes.

    Raises:
        ValueError: a number doesn't fit in its field.
    """
    size_field = octal(size, 12) if fits(size, 12) else b"\x80" + size.to_bytes(11, "big")
    numbers = (octal(mode, 8), octal(uid, 8), octal(gid, 8), size_field, octal(mtime, 12))
    numbers_of_device = (octal(device[0], 8), octal(device[1], 8)) if device else (b"", b"")
    fields = (name, *numbers, b" " * 8, kind, link, USTAR_MAGIC, b"00", b"", b"", *numbers_of_device, prefix, b"")
    block = bytearray(_FIELDS.pack(*fields))
    block[_CHECKSUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def fits(value: int, width: int) -> bool:
    """Returns whether a number fits in an octal field of `width` bytes, the last of which is a NUL."""
    return 0 <= value < 1 << 3 * (width - 1)


def octal(value: int, width: int) -> bytes:
    """Packs a number into an octal field of `width` bytes.

    Raises:
        ValueError: it doesn't fit.
    """
    if not fits(value, width):
        raise ValueError(f"{value} does not fit into {width} bytes of a tar header")
    return b"%0*o\0" % (width - 1, value)


def padded(size: int) -> int:
    """Returns a size rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def archive_size(end: int) -> int:
    """Returns the size of an archive whose members end at `end`."""
    return -(-(end + len(END)) // _RECORD) * _RECORD


def checksum_matches(block: bytes) -> bool:
    """Returns whether the checksum of a header is correct, as a sum of unsigned bytes or (old writers) signed ones."""
    field = block[_CHECKSUM]
    try:
        expected = number(field)
    except ValueError:
        return False
    # The low half of Adler-32 is the sum of the bytes plus 1, modulo 65521; it takes a tenth of the time of sum().
    # The checksum field counts as spaces.
    total = (zlib.adler32(block) - 1) % 65536 - sum(field) + 8 * ord(" ")
    if (total - expected) % _ADLER_MODULUS == 0:
        return True
    negative = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in field)
    return (total - 256 * negative - expected) % _ADLER_MODULUS == 0


@lru_cache(maxsize=4096)
def number(field: bytes) -> int:
    """Parses a numeric field: octal digits, or two's complement in base 256 (GNU tar).

    Raises:
        ValueError: the field is neither.
    """
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if digits.translate(None, b"01234567"):  # int() would accept signs and underscores
        raise ValueError(f"{field!r} is not a number")
    return int(digits, 8)


def text(field: bytes) -> bytes:
    """Returns the value of a text field, up to the first NUL, if there is one."""
    return field.partition(b"\0")[0]
