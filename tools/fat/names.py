"""Long names, short names and volume labels in FAT directories.

See fatgen103, sections "FAT Directory Structure" and "FAT Long Directory Entries". Long names are UTF-16. Every entry
has a short name of 8 and 3 characters, too; the writer uses only ASCII in it, so that it doesn't depend on a code page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LONG_NAME_UNITS = 255
"""Maximum length of a long name in UTF-16 code units."""

UNITS_PER_ENTRY = 13
"""Number of UTF-16 code units in an entry of a long name."""

SHORT_NAME_SIZE = 11

_SHORT_CHARACTERS = r"A-Z0-9!#$%&'()\-@^_`{}~"
_SHORT = re.compile(rf"([{_SHORT_CHARACTERS}]{{1,8}})(?:\.([{_SHORT_CHARACTERS}]{{1,3}}))?")
_NOT_SHORT = re.compile(rf"[^{_SHORT_CHARACTERS}]")
_ILLEGAL = re.compile('[\0-\x1f"*/:<>?\\\\|\ufffe\uffff]')
_LABEL = re.compile(rf"[{_SHORT_CHARACTERS}](?:[{_SHORT_CHARACTERS} ]{{0,9}}[{_SHORT_CHARACTERS}])?")


def long_name(name: bytes) -> str:
    """Returns a name of a tree as a long name.

    Raises:
        ValueError: the name is not possible in FAT; the message is a predicate, to follow the name.
    """
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8, from which long names are converted") from None
    illegal = _ILLEGAL.search(text)
    if illegal:
        raise ValueError(f"has the character {illegal[0]!r}, which is illegal in FAT")
    if not text or text[-1] in ". ":
        raise ValueError("ends with a dot or a space, which readers of FAT remove")
    units = len(text.encode("utf-16-le")) // 2
    if units > LONG_NAME_UNITS:
        raise ValueError(f"has {units} UTF-16 units, but FAT allows {LONG_NAME_UNITS}")
    return text


def folded(name: str) -> str:
    """Returns the case-folded name; names with the same one are equal in FAT.

    Characters are folded separately, as file systems do: "ß" and "SS" are different names.
    """
    if name.isascii():
        return name.upper()
    upper = (character.upper() for character in name)
    return "".join(u if len(u) == 1 else character for u, character in zip(upper, name, strict=True))


def short_names(names: Iterable[str]) -> dict[str, bytes]:
    """Returns a unique short name, 11 bytes, for each long name of a directory.

    A name in the form of a short name, except for case, keeps it. Others get a number: `LONGNA~1.TXT`. The result
    depends only on the names and their order.

    Args:
        names: long names, unique when folded; numbers are assigned in their order.
    """
    result = {}
    others = []
    for name in names:
        match = _SHORT.fullmatch(_ascii_upper(name))
        if match:
            result[name] = _padded(match[1], match[2] or "")
        else:
            others.append(name)
    used = set(result.values())
    numbers: dict[tuple[str, str], int] = {}
    for name in others:
        base, extension = _basis(name)
        number = numbers.get((base, extension), 0)
        while True:
            number += 1
            tail = f"~{number}"
            short = _padded(base[: 8 - len(tail)] + tail, extension)
            if short not in used:
                break
        numbers[base, extension] = number
        used.add(short)
        result[name] = short
    return result


def needs_long_name(name: str) -> bool:
    """Returns whether a name needs long name entries, because it isn't a short name."""
    return not _SHORT.fullmatch(name)


def long_entries(name: str) -> int:
    """Returns the number of long name entries that a name needs, besides the short entry."""
    return -(-len(name.encode("utf-16-le")) // (2 * UNITS_PER_ENTRY)) if needs_long_name(name) else 0


def checksum(short: bytes) -> int:
    """Returns the checksum of a short name, which is in the long name entries before it."""
    total = 0
    for byte in short:
        total = ((total >> 1) + ((total & 1) << 7) + byte) & 0xFF
    return total


def volume_label(label: str) -> bytes:
    """Packs a volume label into 11 bytes.

    Raises:
        ValueError: the label is not possible in FAT.
    """
    if len(label) > SHORT_NAME_SIZE or not _LABEL.fullmatch(label):
        raise ValueError(
            f"label {label!r} is not one of 1 to {SHORT_NAME_SIZE} characters A-Z, 0-9, !#$%&'()-@^_`{{}}~ and, inside "
            "it, space"
        )
    return label.encode().ljust(SHORT_NAME_SIZE)


def _ascii_upper(name: str) -> str:
    """Returns a name with its ASCII letters in upper case; that of others depends on the version of Unicode."""
    return name.encode().upper().decode()


def _basis(name: str) -> tuple[str, str]:
    """Returns the base (up to 6 characters) and the extension (up to 3) for a numbered short name."""
    stem = _ascii_upper(name).replace(" ", "").lstrip(".")
    base, dot, extension = stem.rpartition(".")
    if not dot:
        base, extension = stem, ""
    base = _NOT_SHORT.sub("_", base.replace(".", ""))[:6]
    return base or "_", _NOT_SHORT.sub("_", extension)[:3]


def _padded(base: str, extension: str) -> bytes:
    return base.encode().ljust(8) + extension.encode().ljust(3)
