"""Packs and parses pax extended headers, and the keywords and values in them.

Sources: IEEE Std 1003.1 (pax, "pax Extended Header"); the GNU tar manual ("Storing Sparse Files"); star(1) for
    SCHILY.*;
tar(5) of libarchive for LIBARCHIVE.*.
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Iterable

XATTR = b"SCHILY.xattr."
LIBARCHIVE_XATTR = b"LIBARCHIVE.xattr."
ACL_ACCESS = b"SCHILY.acl.access"
ACL_DEFAULT = b"SCHILY.acl.default"
SELINUX = b"RHT.security.selinux"

_CHARSETS = (b"", b"BINARY", b"ISO-IR 10646 2000 UTF-8")
_NANOSECOND_DIGITS = 9
_SPARE_RECORDS = 1000
_LEAST_AVERAGE = 16
"""In bytes: records are longer on average, even those of a sparse map, so memory follows the size of the header."""

_MOST_DIGITS = 40
"""Most digits of a number: more than any field needs, and few enough that messages stay short."""


def parse(data: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the (keyword, value) records of an extended header, in order; keywords may be repeated.

    Raises:
        ValueError: a record is damaged, or there are more than headers of their size have.
    """
    most = _SPARE_RECORDS + len(data) // _LEAST_AVERAGE
    records = []
    at = 0
    while at < len(data):
        length, space, _ = data[at : at + 20].partition(b" ")
        end = at + int(length) if space and length.isdigit() else 0
        begin = at + len(length) + 1
        keyword, equals, value = data[begin : end - 1].partition(b"=")
        if not begin < end <= len(data) or not keyword or not equals or data[end - 1] != ord("\n"):
            raise ValueError(f"record at byte {at} of the extended header is damaged")
        records.append((keyword, value))
        if len(records) > most:
            raise ValueError(f"the extended header has more than {most} records in its {len(data)} bytes")
        at = end
    return records


def build(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Packs (keyword, value) records, in the given order, into an extended header."""
    return b"".join(_record(keyword, value) for keyword, value in records)


def _record(keyword: bytes, value: bytes) -> bytes:
    rest = len(keyword) + len(value) + 3  # the space, the equals sign and the newline
    length = rest + len(str(rest))
    length = rest + len(str(length))  # the length includes its own digits, of which there may be one more now
    return b"%d %s=%s\n" % (length, keyword, value)


def check_charset(value: bytes) -> None:
    """Checks the value of `hdrcharset`. Names are bytes, so UTF-8 and BINARY are equivalent.

    Raises:
        ValueError: the encoding is another one.
    """
    if value not in _CHARSETS:
        raise ValueError(f"names are in an encoding that is not supported: {value.decode(errors='replace')}")


def integer(value: bytes) -> int:
    """Parses a non-negative decimal number.

    Raises:
        ValueError: the value is none.
    """
    if not value.isdigit() or len(value) > _MOST_DIGITS:
        raise ValueError(f"not a decimal number: {value[:40].decode(errors='replace')!r}")
    return int(value)


def time_ns(value: bytes) -> int:
    """Parses a time in decimal seconds since the epoch; returns nanoseconds, and truncates further digits.

    Raises:
        ValueError: the value is none.
    """
    negative = value.startswith(b"-")
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > _MOST_DIGITS or (fraction and not fraction.isdigit()):
        raise ValueError(f"not a time in seconds: {value[:40].decode(errors='replace')!r}")
    digits = fraction[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, b"0")
    result = int(whole) * 10**9 + int(digits)
    return -result if negative else result


def format_time(time_ns: int) -> bytes:
    """Formats a time in nanoseconds as decimal seconds, without trailing zeros."""
    whole, fraction = divmod(abs(time_ns), 10**9)
    text = f"{whole}.{fraction:09}".rstrip("0").rstrip(".")
    return f"{'-' if time_ns < 0 else ''}{text}".encode()


def xattr_keyword(name: bytes) -> bytes:
    """Returns the keyword for an extended attribute; `%` and `=` are escaped as by GNU tar."""
    return XATTR + name.replace(b"%", b"%25").replace(b"=", b"%3D")


def xattr_name(keyword: bytes) -> bytes:
    """Returns the name of the extended attribute for a SCHILY.xattr keyword, with percent-encoding resolved."""
    return urllib.parse.unquote_to_bytes(keyword.removeprefix(XATTR))


def libarchive_xattr(keyword: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Parses a LIBARCHIVE.xattr record; returns the name and value of the extended attribute.

    Raises:
        ValueError: the value is not base64.
    """
    name = urllib.parse.unquote_to_bytes(keyword.removeprefix(LIBARCHIVE_XATTR))
    try:
        return name, base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"value of extended attribute {name!r} is not base64") from error
