"""Builds small ELF files, for tests: a header, segments, and a dynamic section. They cannot be run."""

from __future__ import annotations

import struct
from collections.abc import Sequence

X86_64, AARCH64 = 62, 183

_HEADER, _SEGMENT, _ENTRY = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<qQ")
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NULL, _NEEDED, _STRTAB, _STRSZ, _RPATH, _RUNPATH = 0, 1, 5, 10, 15, 29


def elf_file(
    *,
    needed: Sequence[str] = (),
    interpreter: str = "",
    search: str = "",
    rpath: bool = False,
    machine: int = X86_64,
    kind: int = 3,
    segments: int = 1,
    dynamic_sections: int = 1,
) -> bytes:
    """Returns a 64-bit little-endian ELF file.

    Args:
        needed: names of libraries (DT_NEEDED).
        interpreter: path of the dynamic linker; none if empty.
        search: directories, separated by colons.
        rpath: whether `search` is DT_RPATH instead of DT_RUNPATH.
        machine: e_machine.
        kind: e_type, by default ET_DYN.
        segments: number of headers for the interpreter; more than one is invalid.
        dynamic_sections: number of headers for the dynamic section; more than one is invalid.
    """
    strings, places = b"\0", []
    for text in (*needed, search):
        places.append(len(strings))
        strings += text.encode() + b"\0"
    entries = [(_NEEDED, place) for place in places[:-1]]
    entries += [(_RPATH if rpath else _RUNPATH, places[-1])] if search else []
    path = interpreter.encode() + b"\0"
    count = 1 + (segments if interpreter else 0) + dynamic_sections
    start = _HEADER.size + count * _SEGMENT.size
    table = start + len(path)
    entries += [(_STRTAB, table), (_STRSZ, len(strings)), (_NULL, 0)]
    dynamic = b"".join(_ENTRY.pack(*entry) for entry in entries)
    end = table + len(strings) + len(dynamic)

    def segment(kind: int, offset: int, size: int) -> bytes:
        return _SEGMENT.pack(kind, 4, offset, offset, offset, size, size, 1)

    headers = [segment(_LOAD, 0, end)]
    headers += [segment(_INTERPRETER, start, len(path))] * (segments if interpreter else 0)
    headers += [segment(_DYNAMIC, table + len(strings), len(dynamic))] * dynamic_sections
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    sizes = (_HEADER.size, _SEGMENT.size, len(headers), 0, 0, 0)
    return (
        _HEADER.pack(ident, kind, machine, 1, 0, _HEADER.size, 0, 0, *sizes)
        + b"".join(headers)
        + path
        + strings
        + dynamic
    )
