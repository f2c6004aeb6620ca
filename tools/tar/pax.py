"""Extended headers of tar archives: records of keyword and value, and the keywords for extended attributes.

Sources: IEEE Std 1003.1 (pax, "pax Extended Header"); the GNU tar manual ("Storing Sparse Files"); star's manual for
SCHILY.*; tar(5) of libarchive for LIBARCHIVE.*.
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


def parse(data: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the records of an extended header, in order; a keyword may come more than once.

    Raises:
        ValueError: the header is damaged; the message says how.
    """
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
        at = end
    return records


def build(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns an extended header of records, in the order given."""
    return b"".join(_record(keyword, value) for keyword, value in records)


def _record(keyword: bytes, value: bytes) -> bytes:
    rest = len(keyword) + len(value) + 3  # the space, the equals sign and the line feed
    length = rest + len(str(rest))
    length = rest + len(str(length))  # the length counts its own digits, of which there may be one more now
    return b"%d %s=%s\n" % (length, keyword, value)


def check_charset(value: bytes) -> None:
    """Checks the value of `hdrcharset`: names are taken as bytes, so UTF-8 and BINARY come to the same.

    Raises:
        ValueError: another encoding.
    """
    if value not in _CHARSETS:
        raise ValueError(f"names are in an encoding that is not supported: {value.decode(errors='replace')}")


def integer(value: bytes) -> int:
    """Returns a decimal number that is not negative.

    Raises:
        ValueError: it is none.
    """
    if not value.isdigit():
        raise ValueError(f"not a decimal number: {value[:40].decode(errors='replace')!r}")
    return int(value)


def time_ns(value: bytes) -> int:
    """Returns a time, given as decimal seconds since the epoch, in nanoseconds; finer digits are cut off.

    Raises:
        ValueError: it is none.
    """
    negative = value.startswith(b"-")
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()):
        raise ValueError(f"not a time in seconds: {value[:40].decode(errors='replace')!r}")
    digits = fraction[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, b"0")
    result = int(whole) * 10**9 + int(digits)
    return -result if negative else result


def format_time(time_ns: int) -> bytes:
    """Returns a time in nanoseconds as decimal seconds, without digits that are not needed."""
    whole, fraction = divmod(abs(time_ns), 10**9)
    text = f"{whole}.{fraction:09}".rstrip("0").rstrip(".")
    return f"{'-' if time_ns < 0 else ''}{text}".encode()


def xattr_keyword(name: bytes) -> bytes:
    """Returns the keyword under which an extended attribute stands; `%` and `=` are escaped as GNU tar does it."""
    return XATTR + name.replace(b"%", b"%25").replace(b"=", b"%3D")


def xattr_name(keyword: bytes) -> bytes:
    """Returns the name of the extended attribute that stands under a keyword.

    GNU tar escapes two characters in it, libarchive more, both as in a URL.
    """
    return urllib.parse.unquote_to_bytes(keyword.removeprefix(XATTR))


def libarchive_xattr(keyword: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Returns the name and value of an extended attribute that libarchive wrote in its own way.

    Raises:
        ValueError: the value is not base64.
    """
    name = urllib.parse.unquote_to_bytes(keyword.removeprefix(LIBARCHIVE_XATTR))
    try:
        return name, base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"value of extended attribute {name!r} is not base64") from error
