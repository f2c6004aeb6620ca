"""PE files and kernels for tests: the least that firmware, and readers of the format, take for one."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SBAT = (
    b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\nstub,1,Test,stub,1,https://example\n"
)

_TEXT = 0x60000020
_DATA = 0x40000040


def pe_file(
    sections: Sequence[tuple[str, bytes]] = ((".text", b"\xc3"), (".sbat", SBAT)),
    *,
    room: int = 0x400,
    alignment: int = 0x1000,
    symbols: int = 0,
    machine: int = 0x8664,
) -> bytes:
    """Returns an EFI application of PE32+.

    Args:
        sections: names and contents.
        room: size of the headers, which limits the number of sections.
        alignment: of sections in memory.
        symbols: number of COFF symbols at the end of the file.
        machine: the processor; by default x86-64.
    """
    entries, contents, offset, address = b"", b"", room, 0x1000
    for name, content in sections:
        padded = content + bytes(-len(content) % 0x200)
        flags = _TEXT if name == ".text" else _DATA
        entries += struct.pack(
            "<8sIIIIIIHHI", name.encode(), len(content), address, len(padded), offset, 0, 0, 0, 0, flags
        )
        contents += padded
        offset += len(padded)
        address = -(-(address + len(content)) // alignment) * alignment
    optional = struct.pack("<HBBIIIII", 0x20B, 2, 0, 0x200, 0, 0, 0x1000, 0x1000)
    optional += struct.pack("<QIIHHHHHHIIIIHH", 0, alignment, 0x200, 0, 0, 0, 0, 0, 0, 0, address, room, 0, 10, 0)
    optional += struct.pack("<QQQQII", 0, 0, 0, 0, 0, 16) + bytes(16 * 8)
    coff = struct.pack("<HHIIIHH", machine, len(sections), 1, offset if symbols else 0, symbols, len(optional), 0x0206)
    head = b"MZ" + bytes(0x3A) + struct.pack("<I", 0x80) + bytes(0x40) + b"PE\0\0" + coff + optional + entries
    end = bytes(18 * symbols) + struct.pack("<I", 4) if symbols else b""
    return head + bytes(room - len(head)) + contents + end


def kernel(version: str = "6.12.0-test", size: int = 5000) -> bytes:
    """Returns what has the header of a Linux kernel for x86."""
    data = bytearray(b"k" * size)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x300)
    text = f"{version} (builder@host) #1 SMP\0".encode()
    data[0x500 : 0x500 + len(text)] = text
    return bytes(data)


def arm_kernel(version: str = "6.12.0-test", place: int = 5000) -> bytes:
    """Returns what has the header of a Linux kernel for 64-bit Arm, and its banner at a place."""
    head = b"MZ" + bytes(0x36) + b"ARM\x64"
    return head.ljust(place, b"k") + f"Linux version {version} (builder@host) #1 SMP\n\0".encode()
