"""Writes small dynamically linked programs for x86-64 Linux from machine code; a build has no compiler for it.

`Code` collects instructions, and `elf_program` makes an ELF executable of them. It knows the few instructions that
programs of system calls need. The dynamic linker loads the libraries that the program names, and then starts it.
Formats: System V ABI, AMD64 Supplement; Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

BASE = 0x400000
"""Address of the first byte of the file."""

DATA = 0x600000
"""Address of memory that a program can write to."""

LINKER = "/lib64/ld-linux-x86-64.so.2"

_PAGE = 0x1000
TEXT = BASE + _PAGE
"""Address of the constant bytes of a program."""

_HEADER, _SEGMENT, _ENTRY = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<qQ")
_EXECUTABLE, _X86_64 = 2, 62
_LOAD, _DYNAMIC, _INTERPRETER, _STACK = 1, 2, 3, 0x6474E551
_READ, _WRITE, _EXECUTE = 4, 2, 1
_NULL, _NEEDED, _STRTAB, _SYMTAB, _STRSZ, _SYMENT = 0, 1, 5, 6, 10, 11
_SYMBOL_SIZE = 24
_SEGMENTS = 5
"""Number of program headers."""

_REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
_ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
"""Registers of the arguments of a system call; the kernel changes rax, rcx and r11 as well."""

_JUMPS = {"always": b"\xe9", "equal": b"\x0f\x84", "different": b"\x0f\x85", "negative": b"\x0f\x88"}


class Code:
    """Instructions, in their order. Operands are 64-bit registers by name, and numbers."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def label(self, name: str) -> None:
        """Names this place for jumps."""
        self._labels[name] = len(self._bytes)

    def jump(self, label: str, when: str = "always") -> None:
        """Jumps to a label: always; or as a comparison came out, `equal`, `different`, or `negative` after a test."""
        self._bytes += _JUMPS[when] + bytes(4)
        self._jumps.append((len(self._bytes), label))

    def set(self, register: str, value: int | str) -> None:
        """Sets a register to a number or to the value of another register."""
        if isinstance(value, str):
            self._pair(0x89, value, register)
        else:
            number = _number(register)
            self._bytes += bytes([0x48 | number >> 3, 0xB8 | number & 7]) + struct.pack("<Q", value & (1 << 64) - 1)

    def add(self, register: str, other: str) -> None:
        """Adds another register to a register."""
        self._pair(0x01, other, register)

    def compare(self, register: str, other: str) -> None:
        """Compares two registers, for a jump."""
        self._pair(0x39, other, register)

    def test(self, register: str) -> None:
        """Compares a register with 0, for a jump."""
        self._pair(0x85, register, register)

    def load(self, register: str, base: str, offset: int = 0) -> None:
        """Reads 8 bytes from memory, at an offset from the address in a register."""
        self._memory(0x8B, register, base, offset)

    def load_int(self, register: str, base: str, offset: int = 0) -> None:
        """Reads a signed number of 4 bytes from memory."""
        self._memory(0x63, register, base, offset)

    def store(self, base: str, offset: int, register: str) -> None:
        """Writes 8 bytes to memory."""
        self._memory(0x89, register, base, offset)

    def call(self, register: str) -> None:
        """Calls the code at the address in a register; its result is in rax."""
        number = _number(register)
        self._bytes += bytes([0x40 | number >> 3, 0xFF, 0xD0 | number & 7])

    def system_call(self, number: int, *arguments: int | str) -> None:
        """Makes a system call; its result is in rax. Registers as arguments must not be those of arguments."""
        for register, value in zip(_ARGUMENTS, arguments, strict=False):
            self.set(register, value)
        self.set("rax", number)
        self._bytes += b"\x0f\x05"

    def assembled(self) -> bytes:
        """Returns the machine code; the places of jumps are filled in."""
        result = bytearray(self._bytes)
        for end, label in self._jumps:
            struct.pack_into("<i", result, end - 4, self._labels[label] - end)
        return bytes(result)

    def _pair(self, opcode: int, source: str, target: str) -> None:
        one, two = _number(source), _number(target)
        self._bytes += bytes([0x48 | one >> 3 << 2 | two >> 3, opcode, 0xC0 | (one & 7) << 3 | two & 7])

    def _memory(self, opcode: int, register: str, base: str, offset: int) -> None:
        one, two = _number(register), _number(base)
        if two & 7 == _number("rsp"):
            raise ValueError(f"{base} needs another encoding as a base")
        self._bytes += bytes([0x48 | one >> 3 << 2 | two >> 3, opcode, 0x80 | (one & 7) << 3 | two & 7])
        self._bytes += struct.pack("<i", offset)


def _number(register: str) -> int:
    return _REGISTERS.index(register)


def elf_program(code: bytes, text: bytes, data: bytes, memory: int, needed: Sequence[str]) -> bytes:
    """Returns an executable.

    Args:
        code: machine code; it starts at its first byte.
        text: constant bytes, which are at TEXT; at most a page.
        data: the first bytes at DATA.
        memory: size of what is at DATA, in bytes.
        needed: libraries that the dynamic linker loads.
    """
    linker = LINKER.encode() + b"\0"
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    start = _HEADER.size + _SEGMENTS * _SEGMENT.size
    strings_at = start + len(linker)
    symbols_at = -(-(strings_at + len(strings)) // 8) * 8
    code_at = symbols_at + _SYMBOL_SIZE
    if code_at + len(code) > _PAGE or len(text) > _PAGE:
        raise ValueError("the program does not fit in its pages")
    dynamic = _dynamic_section(strings, BASE + strings_at, BASE + symbols_at)
    # The dynamic linker may write to its section, so it is behind the data.
    dynamic_at = -(-memory // 8) * 8
    written = data.ljust(dynamic_at, b"\0") + dynamic
    headers = [
        (_INTERPRETER, _READ, start, BASE + start, len(linker), 1),
        (_LOAD, _READ | _EXECUTE, 0, BASE, _PAGE + len(text), _PAGE),
        (_LOAD, _READ | _WRITE, 2 * _PAGE, DATA, len(written), _PAGE),
        (_DYNAMIC, _READ | _WRITE, 2 * _PAGE + dynamic_at, DATA + dynamic_at, len(dynamic), 8),
        (_STACK, _READ | _WRITE, 0, 0, 0, 16),
    ]
    table = b"".join(
        _SEGMENT.pack(kind, flags, offset, address, address, size, size, alignment)
        for kind, flags, offset, address, size, alignment in headers
    )
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    sizes = (_HEADER.size, _SEGMENT.size, _SEGMENTS, 0, 0, 0)
    header = _HEADER.pack(ident, _EXECUTABLE, _X86_64, 1, BASE + code_at, _HEADER.size, 0, 0, *sizes)
    names = (linker + strings).ljust(symbols_at - start, b"\0")
    first = header + table + names + bytes(_SYMBOL_SIZE) + code
    return first.ljust(_PAGE, b"\0") + text.ljust(_PAGE, b"\0") + written


def _dynamic_section(strings: bytes, strings_at: int, symbols_at: int) -> bytes:
    """Returns the section that names the libraries.

    Args:
        strings: the string table: an empty string, and the names of the libraries.
        strings_at: its address.
        symbols_at: address of the symbol table, which has the empty first entry alone.
    """
    ends = [place for place, byte in enumerate(strings) if byte == 0]
    entries = [(_NEEDED, end + 1) for end in ends[:-1]]
    entries += [(_STRTAB, strings_at), (_SYMTAB, symbols_at), (_STRSZ, len(strings))]
    entries += [(_SYMENT, _SYMBOL_SIZE), (_NULL, 0)]
    return b"".join(_ENTRY.pack(*entry) for entry in entries)
