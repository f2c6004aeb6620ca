"""Parses names of partition types and attributes."""

from __future__ import annotations

import re
from uuid import UUID

from tools.gpt.discoverable import DISCOVERABLE

EFI_SYSTEM = UUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
"""EFI system partition (UEFI specification 2.10, section 5.3.3, table 5-7)."""

LINUX_FILESYSTEM = UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")

_SHORTCUTS = {
    "H": ("home", UUID("933AC7E1-2EB4-4F13-B844-0E14E2AEF915")),
    "L": ("linux", LINUX_FILESYSTEM),
    "R": ("raid", UUID("A19D880F-05FC-4D3B-A006-743F0F84911E")),
    "S": ("swap", UUID("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F")),
    "U": ("uefi", EFI_SYSTEM),
    "V": ("lvm", UUID("E6D6D379-F507-44C2-A23C-238F2A3DF928")),
    "X": ("xbootldr", UUID("BC13C2FF-59E6-4262-A352-B275FD6F7172")),
}
"""Maps shortcuts of sfdisk to aliases and type GUIDs (sfdisk(8), "Supported shortcuts and aliases")."""

TYPES = {name: guid for shortcut, (alias, guid) in _SHORTCUTS.items() for name in (shortcut, alias)}
"""Type GUIDs by shortcut (`L`) and by alias (`linux`)."""

_ATTRIBUTES = {"RequiredPartition": 0, "NoBlockIOProtocol": 1, "LegacyBIOSBootable": 2}
"""Attribute bits of all types, by sfdisk's names (UEFI specification 2.10, section 5.3.3, table 5-8)."""

_TYPE_SPECIFIC_BITS = range(48, 64)

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parse_guid(text: str) -> UUID:
    """Parses a GUID in the form 8-4-4-4-12.

    Raises:
        ValueError: the text has another form, or is all zeros, which marks an unused entry.
    """
    if not _GUID.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a GUID of the form 01234567-89AB-CDEF-0123-456789ABCDEF; `uuidgen` makes one"
        )
    guid = UUID(text)
    if not guid.int:
        raise ValueError("the GUID of zeros marks an unused entry")
    return guid


def parse_type(text: str) -> UUID:
    """Parses a partition type: a shortcut, an alias, a name of the Discoverable Partitions Specification, or a GUID.

    Raises:
        ValueError: the text is none of these.
    """
    named = DISCOVERABLE | TYPES
    if text in named:
        return named[text]
    try:
        return parse_guid(text)
    except ValueError:
        known = ", ".join(f"{shortcut} ({alias})" for shortcut, (alias, _) in _SHORTCUTS.items())
        import difflib  # noqa: PLC0415 - every command of disks would start later, and only this error needs it

        close = difflib.get_close_matches(text, named, 1)
        advice = f"did you mean {close[0]}?" if close else f"give a GUID, a name such as root-x86-64, or one of {known}"
        raise ValueError(f"unknown partition type {text!r}: {advice}") from None


def parse_attributes(text: str) -> int:
    """Parses attributes as in sfdisk, such as `RequiredPartition GUID:48,60`; returns the attribute bits.

    Raises:
        ValueError: a word is unknown, or a bit is not type-specific.
    """
    attributes = 0
    for word in text.split():
        if word in _ATTRIBUTES:
            attributes |= 1 << _ATTRIBUTES[word]
            continue
        bits = word.removeprefix("GUID:").split(",")
        if not word.startswith("GUID:") or not all(bit.isascii() and bit.isdigit() for bit in bits):
            raise ValueError(f"unknown attribute {word!r}: use {', '.join(_ATTRIBUTES)} or GUID:<bit>[,<bit>…]")
        for bit in bits:
            if len(bit) > 2 or int(bit) not in _TYPE_SPECIFIC_BITS:
                raise ValueError(f"attribute bit {bit} is not a type-specific one, 48 to 63")
            attributes |= 1 << int(bit)
    return attributes
