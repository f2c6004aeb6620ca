"""Reads the dynamic linking information of an ELF file: its interpreter and needed libraries.

See System V ABI, chapters 4 ("Object Files") and 5 ("Program Loading and Dynamic Linking"), and elf(5). Only 64-bit
little-endian files are supported, as on all architectures of the project.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.image.extents import Image

_MAGIC = b"\x7fELF"
_CLASS_64 = 2
_DATA_LITTLE = 1

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_SEGMENT = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
_ENTRY = struct.Struct("<qQ")  # Elf64_Dyn

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 15, 29

_MAX_BYTES = 1 << 20
"""Maximum size of a dynamic section or string table in bytes, so that a damaged file doesn't exhaust the memory."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic linking information of an ELF file.

    Attributes:
        machine: architecture (e_machine).
        interpreter: path of the dynamic linker (PT_INTERP); None for libraries and static programs.
        needed: names of the needed libraries (DT_NEEDED), in order.
        search: directories of DT_RUNPATH, or else of DT_RPATH; `$ORIGIN` is not expanded.
    """

    machine: int
    interpreter: bytes | None
    needed: tuple[bytes, ...]
    search: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Segment:
    type: int
    offset: int
    address: int
    size: int


def is_elf(content: Image) -> bool:
    """Returns whether a file starts with the magic number of ELF."""
    return content.size >= len(_MAGIC) and content.read(0, len(_MAGIC)) == _MAGIC


def read_dynamic(content: Image, origin: str) -> Dynamic:
    """Reads the dynamic linking information of a program or library.

    Args:
        content: the ELF file.
        origin: name of the file in messages.

    Raises:
        UserError: the file is not a 64-bit little-endian ELF file, or it is damaged.
    """
    try:
        return _read_dynamic(content)
    except (ValueError, struct.error) as error:
        raise UserError(f"{origin}: not a readable ELF file: {error}") from error


def _read_dynamic(content: Image) -> Dynamic:
    ident, _, machine, _, _, offset, _, _, _, entry_size, count, *_ = _HEADER.unpack(content.read(0, _HEADER.size))
    if ident[:4] != _MAGIC:
        raise ValueError("it does not start with the ELF magic number")
    if ident[4] != _CLASS_64 or ident[5] != _DATA_LITTLE:
        raise ValueError("it is not a 64-bit little-endian file")
    if count and entry_size != _SEGMENT.size:
        raise ValueError(f"its program headers have {entry_size} bytes each, not {_SEGMENT.size}")
    segments = []
    for type_, _, start, address, _, size, _, _ in _SEGMENT.iter_unpack(content.read(offset, count * _SEGMENT.size)):
        segments.append(_Segment(type_, start, address, size))
    interpreter = None
    entries: list[tuple[int, int]] = []
    for segment in segments:
        if segment.type == _PT_INTERP:
            interpreter = _bounded(content, segment.offset, segment.size).rstrip(b"\0")
        elif segment.type == _PT_DYNAMIC:
            entries = list(_dynamic_entries(_bounded(content, segment.offset, segment.size)))
    strings = _strings(content, segments, dict(entries))
    search = [value for tag, value in entries if tag == _DT_RUNPATH] or [v for tag, v in entries if tag == _DT_RPATH]
    return Dynamic(
        machine,
        interpreter,
        tuple(_string(strings, value) for tag, value in entries if tag == _DT_NEEDED),
        tuple(part for value in search for part in _string(strings, value).split(b":") if part),
    )


def _dynamic_entries(section: bytes) -> Iterator[tuple[int, int]]:
    for tag, value in _ENTRY.iter_unpack(section[: len(section) // _ENTRY.size * _ENTRY.size]):
        if tag == _DT_NULL:
            return
        yield tag, value


def _strings(content: Image, segments: list[_Segment], entries: dict[int, int]) -> bytes:
    """Returns the dynamic string table; DT_STRTAB has its virtual address."""
    if _DT_STRTAB not in entries:
        return b""
    address = entries[_DT_STRTAB]
    for segment in segments:
        if segment.type == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return _bounded(content, segment.offset + address - segment.address, entries.get(_DT_STRSZ, 0))
    raise ValueError(f"its string table at {address:#x} is in no segment")


def _string(strings: bytes, offset: int) -> bytes:
    end = strings.find(b"\0", offset)
    if offset < 0 or end < 0:
        raise ValueError(f"a name at {offset} is outside its string table")
    return strings[offset:end]


def _bounded(content: Image, offset: int, size: int) -> bytes:
    if size > _MAX_BYTES:
        raise ValueError(f"a table of {size} bytes is too large")
    return content.read(offset, size)
