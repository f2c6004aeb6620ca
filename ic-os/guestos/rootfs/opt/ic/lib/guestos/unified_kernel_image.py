"""Reads the command line in a unified kernel image: a PE file, whose section `.cmdline` has it."""

from __future__ import annotations

import struct

from guestos.errors import ImageError

_LFANEW, _MAGIC = 0x3C, b"PE\0\0"
_COFF = struct.Struct("<HHIIIHH")
_SECTION = struct.Struct("<8sIIII16x")
_COMMAND_LINE = b".cmdline"


def arguments(image: bytes) -> list[str]:
    """Returns the arguments of the kernel in an image, whose signatures are verified by who starts it.

    Raises:
        ImageError: it is not a PE file, or not exactly one of its sections has a command line.
    """
    try:
        found = [image[place : place + size] for name, size, place in _sections(image) if name == _COMMAND_LINE]
    except struct.error as error:
        raise ImageError("is not a complete PE file") from error
    if len(found) != 1:
        raise ImageError(f"has {len(found)} command lines, and not one")
    return found[0].decode(errors="replace").split()


def _sections(image: bytes) -> list[tuple[bytes, int, int]]:
    """Returns name, size and place of each section."""
    (start,) = struct.unpack_from("<I", image, _LFANEW)
    if image[start : start + len(_MAGIC)] != _MAGIC:
        raise ImageError("is not a PE file")
    coff = start + len(_MAGIC)
    _machine, count, _time, _symbols, _count, optional_size, _flags = _COFF.unpack_from(image, coff)
    table = coff + _COFF.size + optional_size
    entries = [_SECTION.unpack_from(image, table + number * _SECTION.size) for number in range(count)]
    return [(name.rstrip(b"\0"), min(virtual, size), place) for name, virtual, _address, size, place in entries]
