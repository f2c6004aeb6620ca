"""Reads PE files, the format of programs for UEFI: their sections, whether they are complete, and their SBAT.

Formats: Microsoft, "PE Format"; shim, SBAT.md and include/sbat_var_defs.h.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from guestos.errors import ImageError

_LFANEW, _MAGIC = 0x3C, b"PE\0\0"
_COFF = struct.Struct("<HHIIIHH")
_SECTION = struct.Struct("<8sIIII16x")
_SYMBOL_SIZE, _LONGEST_NAME = 18, 64
_X86_64, _PE32_PLUS, _APPLICATION = 0x8664, 0x20B, 10
_SUBSYSTEM, _COUNT, _CERTIFICATES = 68, 108, 144
"""Offsets in the optional header: the subsystem, the number of directories, and the directory of certificates."""
_ALIGNMENT = 8
_LINE = re.compile(r"([^,\s]+),([0-9]{1,9})(?:,.*)?")
_SBAT, _LEVELS = b".sbat", b".sbatlevel"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a PE file.

    Attributes:
        name: without the zeros behind it.
        size: of what it has in the file and in memory, in bytes.
        place: offset in the file.
        end: of what it has in the file.
    """

    name: bytes
    size: int
    place: int
    end: int


def sections(image: bytes) -> list[Section]:
    """Returns the sections of a PE file.

    Raises:
        ImageError: it is none, or its headers are cut off.
    """
    try:
        coff = _coff(image)
        _machine, count, _time, symbols, symbol_count, optional_size, _flags = _COFF.unpack_from(image, coff)
        table = coff + _COFF.size + optional_size
        entries = [_SECTION.unpack_from(image, table + number * _SECTION.size) for number in range(count)]
    except struct.error as error:
        raise ImageError("is not a complete PE file") from error
    strings = symbols + _SYMBOL_SIZE * symbol_count if symbols else len(image)
    return [
        Section(_name(image, name.rstrip(b"\0"), strings), min(virtual, size), place, place + size)
        for name, virtual, _address, size, place in entries
    ]


def _name(image: bytes, name: bytes, strings: int) -> bytes:
    """Returns the name of a section; one of more than eight bytes is in the table of strings behind the symbols."""
    if name[:1] != b"/" or not name[1:].isdigit():
        return name
    return image[strings + int(name[1:]) :][:_LONGEST_NAME].partition(b"\0")[0]


def _coff(image: bytes) -> int:
    (start,) = struct.unpack_from("<I", image, _LFANEW)
    if image[start : start + len(_MAGIC)] != _MAGIC:
        raise ImageError("is not a PE file")
    return int(start) + len(_MAGIC)


def check_program(image: bytes) -> None:
    """Checks that a file is a complete program of UEFI for x86-64 with a signature, by the sizes in its headers.

    Raises:
        ImageError: it is not.
    """
    found = sections(image)
    try:
        coff = _coff(image)
        (machine,) = struct.unpack_from("<H", image, coff)
        optional = coff + _COFF.size
        (magic,) = struct.unpack_from("<H", image, optional)
        (subsystem,) = struct.unpack_from("<H", image, optional + _SUBSYSTEM)
        (count,) = struct.unpack_from("<I", image, optional + _COUNT)
        place, size = struct.unpack_from("<II", image, optional + _CERTIFICATES)
    except struct.error as error:
        raise ImageError("is not a complete PE file") from error
    if (machine, magic, subsystem) != (_X86_64, _PE32_PLUS, _APPLICATION):
        raise ImageError("is no program of UEFI for x86-64")
    if count <= 4 or not size or place % _ALIGNMENT:
        raise ImageError("has no signature")
    if place + size != len(image) or any(each.end > place for each in found):
        raise ImageError(f"has {len(image)} bytes, which are not those that its headers say; it is cut off or damaged")


def generations(image: bytes) -> dict[str, int]:
    """Returns the generation of each component of a program, by its SBAT; nothing for one without.

    Raises:
        ImageError: it is not a PE file, or its SBAT cannot be read.
    """
    data = _content(image, _SBAT)
    return {} if data is None else read_generations(data)


def automatic_levels(image: bytes) -> dict[str, int]:
    """Returns the lowest generations that a shim starts, as it sets them by itself; nothing for another program.

    Raises:
        ImageError: it is not a PE file, or its levels cannot be read.
    """
    data = _content(image, _LEVELS)
    if data is None:
        return {}
    # A version, then the offsets of the automatic and the latest levels from here.
    if len(data) < 12 or data[:4] != bytes(4):
        raise ImageError("has levels of SBAT in a format that this program does not know")
    (offset,) = struct.unpack_from("<I", data, 4)
    return read_generations(data[4 + offset :].partition(b"\0")[0])


def read_generations(data: bytes) -> dict[str, int]:
    """Returns generations by component, from lines `component,generation,…`; zeros at the end are ignored.

    Raises:
        ImageError: a line is another one.
    """
    found = {}
    for line in data.rstrip(b"\0").decode("utf-8", "backslashreplace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ImageError(f"has the line {line[:40]!r} in its SBAT, which is not component,generation")
        found[match[1]] = int(match[2])
    return found


def _content(image: bytes, name: bytes) -> bytes | None:
    found = [image[each.place : each.place + each.size] for each in sections(image) if each.name == name]
    return found[0] if found else None
