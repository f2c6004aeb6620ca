"""Links an ELF object file for x86-64 to be loaded at any address: places its sections, and applies its relocations.

See System V ABI, chapter 4 ("Object Files"), and its AMD64 supplement, section 4.4 ("Relocation"). All symbols must be
defined in the file itself, as in GRUB's `kernel.img`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.core.errors import UserError

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_RELOCATION = struct.Struct("<QIIq")  # Elf64_Rela, with the two halves of r_info

_IDENTIFICATION = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_RELOCATABLE, _X86_64 = 1, 62
_SYMBOLS, _RELA, _NO_BITS, _REL = 2, 4, 8, 9
_ALLOC, _EXECUTABLE = 2, 4
_UNDEFINED, _ABSOLUTE, _COMMON = 0, 0xFFF1, 0xFFF2
_WORD_64, _RELATIVE_32, _CALL_32 = 1, 2, 4  # R_X86_64_64, R_X86_64_PC32, R_X86_64_PLT32

_MOST_BYTES = 1 << 26
"""Most bytes of memory for the linked file, so that a damaged one doesn't exhaust that of the build."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A linked file.

    Attributes:
        code_address: address of the code.
        code: the code; its last bytes are zero up to the next page.
        data_address: address of the data: the first page after the code.
        data: all other sections that are loaded.
        words: addresses of 8-byte words to which the loader adds the distance that it moves the file by, ascending.
        symbols: addresses of the symbols that have names.
    """

    code_address: int
    code: bytes
    data_address: int
    data: bytes
    words: Sequence[int]
    symbols: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


def link(content: bytes, origin: str, address: int, page: int = 0x1000) -> Linked:
    """Returns an object file with its sections placed and its relocations applied.

    Args:
        content: the file.
        origin: what it is, for messages.
        address: where the code begins, relative to the address at which it will be loaded.
        page: size of a page in bytes.

    Raises:
        UserError: it is not an object file for x86-64, is damaged, or needs symbols of others.
    """
    try:
        return _Link(content, address, page).run()
    except (struct.error, IndexError, ValueError) as error:
        raise UserError(f"{origin}: cannot be linked: {error}") from error


class _Link:
    def __init__(self, content: bytes, address: int, page: int) -> None:
        self._content = content
        self._sections = list(_read_sections(content))
        self._addresses: dict[int, int] = {}
        self._code_address = address
        code_end = self._place(address, executable=True)
        self._data_address = -(-code_end // page) * page
        self._memory = bytearray(self._place(self._data_address, executable=False) - address)
        self._words: list[int] = []

    def _place(self, end: int, executable: bool) -> int:
        """Chooses the addresses of the sections that have code, or of all others; returns the end of the last one."""
        for index, section in enumerate(self._sections):
            if section.flags & _ALLOC and bool(section.flags & _EXECUTABLE) == executable:
                alignment = max(section.alignment, 1)
                self._addresses[index] = -(-end // alignment) * alignment
                end = self._addresses[index] + section.size
        if end > _MOST_BYTES:
            raise ValueError(f"it needs {end} bytes of memory; at most {_MOST_BYTES} are supported")
        return end

    def run(self) -> Linked:
        for index, address in self._addresses.items():
            section = self._sections[index]
            if section.kind != _NO_BITS:
                at = address - self._code_address
                self._memory[at : at + section.size] = _content_of(self._content, section)
        names = {}
        for section in self._sections:
            if section.kind == _REL:
                raise ValueError("it has relocations without addends (SHT_REL)")
            if section.kind == _SYMBOLS:
                names = self._named(section)
            if section.kind == _RELA and section.info in self._addresses:
                self._relocate(section)
        size = self._data_address - self._code_address
        code, data = bytes(self._memory[:size]).ljust(size, b"\0"), bytes(self._memory[size:])
        return Linked(self._code_address, code, self._data_address, data, sorted(self._words), names)

    def _named(self, table: _Section) -> dict[str, int]:
        """Returns the addresses of the symbols that have names."""
        strings = _content_of(self._content, self._sections[table.link])
        names = {}
        for name, *_, section, value, _size in _SYMBOL.iter_unpack(_content_of(self._content, table)):
            if name and section in self._addresses:
                names[strings[name : strings.index(b"\0", name)].decode("ascii")] = self._addresses[section] + value
        return names

    def _relocate(self, relocations: _Section) -> None:
        """Applies the relocations of a section."""
        table = _content_of(self._content, self._sections[relocations.link])
        symbols = list(_SYMBOL.iter_unpack(table))
        target, size = self._addresses[relocations.info], self._sections[relocations.info].size
        for offset, kind, symbol, addend in _RELOCATION.iter_unpack(_content_of(self._content, relocations)):
            width = 8 if kind == _WORD_64 else 4
            if offset + width > size:
                raise ValueError(f"a relocation at byte {offset} is outside of its section")
            self._apply(target + offset, kind, self._address_of(symbols[symbol]) + addend)
            if kind == _WORD_64 and symbols[symbol][3] != _ABSOLUTE:
                self._words.append(target + offset)

    def _apply(self, address: int, kind: int, value: int) -> None:
        at = address - self._code_address
        if kind == _WORD_64:
            struct.pack_into("<Q", self._memory, at, value & (1 << 64) - 1)
        elif kind in (_RELATIVE_32, _CALL_32):
            struct.pack_into("<i", self._memory, at, value - address)
        else:
            raise ValueError(f"it has relocations of type {kind}, which is not supported")

    def _address_of(self, symbol: tuple[int, ...]) -> int:
        section, value = symbol[3], symbol[4]
        if section == _ABSOLUTE:
            return value
        if section in (_UNDEFINED, _COMMON) or section not in self._addresses:
            raise ValueError(f"a symbol of section {section} is not defined in the file")
        return self._addresses[section] + value


def _read_sections(content: bytes) -> Iterator[_Section]:
    identification, kind, machine, *_, offset, _flags, _size, _entry, _count, entry, count, _names = (
        _HEADER.unpack_from(content)
    )
    if not identification.startswith(_IDENTIFICATION) or (kind, machine) != (_RELOCATABLE, _X86_64):
        raise ValueError("it is not an ELF object file for x86-64")
    if entry != _SECTION.size:
        raise ValueError(f"its table of sections has entries of {entry} bytes, not {_SECTION.size}")
    for index in range(count):
        _name, kind, flags, _address, place, size, link_, info, alignment, _unit = _SECTION.unpack_from(
            content, offset + index * entry
        )
        if flags & _ALLOC and size > _MOST_BYTES:
            raise ValueError(f"it has a section of {size} bytes; at most {_MOST_BYTES} are supported")
        yield _Section(kind, flags, place, size, link_, info, alignment)


def _content_of(content: bytes, section: _Section) -> bytes:
    data = content[section.offset : section.offset + section.size]
    if len(data) != section.size:
        raise ValueError("it is truncated")
    return data
