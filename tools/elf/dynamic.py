"""Reads the dynamic linking information of an ELF file: its interpreter and needed libraries.

See System V ABI, chapters 4 ("Object Files") and 5 ("Program Loading and Dynamic Linking"), and elf(5). Only 64-bit
little-endian files are supported, as on all architectures of the project. What is read and kept has upper bounds, since
the files come from others.
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

_MAX_NAME = 4096
"""Maximum length of a name in bytes (PATH_MAX of Linux)."""

_MAX_NAMES = 1024
"""Maximum number of needed libraries, and of directories to search."""

_MACHINES = {
    3: "i386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}
"""Values of e_machine, with the names that uname(1) uses."""

_TYPES = {1: "relocatable", 2: "executable", 3: "shared", 4: "core"}
"""Values of e_type."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic linking information of an ELF file.

    Attributes:
        machine: architecture (e_machine), such as `x86_64`.
        type: `executable`, `shared` (libraries, and programs that can be placed anywhere), `relocatable` or `core`.
        interpreter: path of the dynamic linker (PT_INTERP); None for libraries and static programs.
        needed: names of the needed libraries (DT_NEEDED), in order.
        search: directories of DT_RUNPATH, or else of DT_RPATH; `$ORIGIN` is not expanded.
        inherited: whether the libraries of this file's libraries are searched there, too (DT_RPATH).
    """

    machine: str
    type: str
    interpreter: bytes | None
    needed: tuple[bytes, ...]
    search: tuple[bytes, ...]
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class _Segment:
    type: int
    offset: int
    address: int
    size: int


def is_elf(content: Image) -> bool:
    """Returns whether a file starts with the magic number of ELF."""
    return content.size >= len(_MAGIC) and content.read(0, len(_MAGIC)) == _MAGIC


def machine_of(content: Image) -> str:
    """Returns the architecture of an ELF file of either size and byte order, such as `x86_64`, `arm` or `machine 93`.

    Raises:
        ValueError: the file is shorter than the field.
    """
    ident = content.read(0, 16)
    value = int.from_bytes(content.read(18, 2), "little" if ident[5] == _DATA_LITTLE else "big")
    return _MACHINES.get(value, f"machine {value}")


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
    ident, type_, _, _, _, offset, _, _, _, entry_size, count, *_ = _HEADER.unpack(content.read(0, _HEADER.size))
    if ident[:4] != _MAGIC:
        raise ValueError("it does not start with the ELF magic number")
    if ident[4] != _CLASS_64 or ident[5] != _DATA_LITTLE:
        raise ValueError("it is not a 64-bit little-endian file")
    if count and entry_size != _SEGMENT.size:
        raise ValueError(f"its program headers have {entry_size} bytes each, not {_SEGMENT.size}")
    segments = []
    for kind, _, start, address, _, size, _, _ in _SEGMENT.iter_unpack(content.read(offset, count * _SEGMENT.size)):
        segments.append(_Segment(kind, start, address, size))
    interpreter = _only(content, segments, _PT_INTERP, _MAX_NAME, "interpreters")
    section = _only(content, segments, _PT_DYNAMIC, _MAX_BYTES, "dynamic sections")
    entries = list(_dynamic_entries(section or b""))
    strings = _strings(content, segments, dict(entries))
    runpath = _values(entries, _DT_RUNPATH)
    search = [part for value in runpath or _values(entries, _DT_RPATH) for part in _string(strings, value).split(b":")]
    return Dynamic(
        machine_of(content),
        _TYPES.get(type_, f"type {type_}"),
        None if interpreter is None else interpreter.rstrip(b"\0"),
        tuple(_string(strings, value) for value in _values(entries, _DT_NEEDED)),
        tuple(part for part in search[:_MAX_NAMES] if part),
        inherited=bool(search) and not runpath,
    )


def _only(content: Image, segments: list[_Segment], kind: int, most: int, name: str) -> bytes | None:
    """Returns the content of the only segment of a type, or None if there is none."""
    found = [segment for segment in segments if segment.type == kind]
    if len(found) > 1:
        raise ValueError(f"it has {len(found)} {name}")
    return _bounded(content, found[0].offset, found[0].size, most) if found else None


def _values(entries: list[tuple[int, int]], wanted: int) -> list[int]:
    values = [value for tag, value in entries if tag == wanted]
    if len(values) > _MAX_NAMES:
        raise ValueError(f"it has more than {_MAX_NAMES} dynamic entries of type {wanted}")
    return values


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
    end = strings.find(b"\0", offset, offset + _MAX_NAME)
    if end < 0:
        raise ValueError(f"a name at {offset} has no end within {_MAX_NAME} bytes or is outside its string table")
    return strings[offset:end]


def _bounded(content: Image, offset: int, size: int, most: int = _MAX_BYTES) -> bytes:
    if size > most:
        raise ValueError(f"a table of {size} bytes is too large")
    return content.read(offset, size)
