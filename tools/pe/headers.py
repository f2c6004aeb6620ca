"""Reads the headers of a PE file, and adds sections to it.

See Microsoft's PE Format: a DOS header points to the COFF header, which the optional header and the table of sections
follow. All sizes and offsets are in bytes. Only what UEFI firmware for 64-bit machines starts is supported: PE32+
images whose sections follow each other without gaps, since the firmware hashes nothing between them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.core.errors import UserError
from tools.image.extents import Image

_DOS_MAGIC, _PE_MAGIC, _PE32_PLUS = b"MZ", b"PE\0\0", 0x20B
_LFANEW = 0x3C
_COFF = struct.Struct("<HHIIIHH")
_SYMBOLS, _SYMBOL_SIZE = len(_PE_MAGIC) + 8, 18
"""Offset of the place and number of symbols from the magic before the COFF header, and the size of a symbol."""
_SECTION = struct.Struct("<8sIIIIIIHHI")
_MOST_HEADERS = 1 << 16
"""Most bytes of headers that are read; those of a boot loader have one or two KiB."""

# Offsets in the optional header of PE32+.
_INITIALIZED_DATA, _SECTION_ALIGNMENT, _FILE_ALIGNMENT = 8, 32, 36
_IMAGE_SIZE, _HEADERS_SIZE, _CHECKSUM, _DIRECTORY_COUNT = 56, 60, 64, 108
_CERTIFICATE_DIRECTORY = 112 + 4 * 8
_LEAST_OPTIONAL = _CERTIFICATE_DIRECTORY + 8

_READABLE_DATA = 0x40000040
"""Characteristics of a section: IMAGE_SCN_CNT_INITIALIZED_DATA, IMAGE_SCN_MEM_READ."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a PE file.

    Attributes:
        name: at most 8 bytes, such as `.linux`.
        virtual_size: of its content, when it is loaded.
        address: of its content, when it is loaded, relative to the base of the image.
        size: of its content in the file, with padding.
        offset: of its content in the file.
    """

    name: str
    virtual_size: int
    address: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class PeFile:
    """A PE file.

    Attributes:
        image: its bytes.
        name: what it is in messages.
        head: the bytes of its headers, with the room that is left for more.
        coff: offset of the COFF header.
        sections: in the order of the table, which is that of their addresses and offsets.
    """

    image: Image
    name: str
    head: bytes = field(repr=False)
    coff: int
    sections: Sequence[Section]

    @property
    def machine(self) -> int:
        """The processor that it is for, such as 0x8664 for x86-64 and 0xAA64 for 64-bit Arm."""
        return int(struct.unpack_from("<H", self.head, self.coff)[0])

    @property
    def optional(self) -> int:
        """Offset of the optional header."""
        return self.coff + _COFF.size

    @property
    def checksum(self) -> int:
        """Offset of the field with the file's checksum, of 4 bytes, which a signature does not cover."""
        return self.optional + _CHECKSUM

    @property
    def certificate_directory(self) -> int:
        """Offset of the entry for the certificate table, of 8 bytes, which a signature does not cover."""
        return self.optional + _CERTIFICATE_DIRECTORY

    @property
    def certificates(self) -> tuple[int, int]:
        """Offset and size of the certificate table; both are 0 if the file is not signed."""
        offset, size = struct.unpack_from("<II", self.head, self.certificate_directory)
        return offset, size

    def word(self, offset: int) -> int:
        """Returns a field of 4 bytes of the optional header."""
        return int(struct.unpack_from("<I", self.head, self.optional + offset)[0])

    def find(self, name: str) -> Section | None:
        """Returns the section of a name; None if there is none."""
        return next((section for section in self.sections if section.name == name), None)


def read_pe(image: Image, name: str) -> PeFile:
    """Reads the headers of a PE file.

    Args:
        image: the file.
        name: what it is, for messages.

    Raises:
        UserError: it is not a PE file for UEFI on 64-bit machines, or has gaps between its sections.
    """
    try:
        return _parse(_without_symbols(image), name)
    except struct.error as error:
        raise UserError(f"{name}: is not a complete PE file: its headers are truncated") from error


def _without_symbols(image: Image) -> Image:
    """Returns a file without the table of symbols at its end, which is for debuggers, and in no section."""
    head = image.read(0, min(image.size, _MOST_HEADERS))
    if head[:2] != _DOS_MAGIC:
        return image
    at = struct.unpack_from("<I", head, _LFANEW)[0] + _SYMBOLS
    symbols, count = struct.unpack_from("<II", head, at)
    strings = symbols + count * _SYMBOL_SIZE
    if not at + 8 < symbols <= strings <= image.size - 4:
        return image
    if strings + int.from_bytes(image.read(strings, 4), "little") != image.size:
        return image
    none = (at, Image.from_bytes(bytes(8)))
    return Image.compose(symbols, [(0, image.slice(0, at)), none, (at + 8, image.slice(at + 8, symbols - at - 8))])


def _parse(image: Image, name: str) -> PeFile:
    head = image.read(0, min(image.size, _MOST_HEADERS))
    (start,) = struct.unpack_from("<I", head, _LFANEW) if head[:2] == _DOS_MAGIC else (0,)
    if head[start : start + 4] != _PE_MAGIC:
        raise UserError(f"{name}: is not a PE file, which is what UEFI firmware starts")
    coff = start + len(_PE_MAGIC)
    _machine, count, _time, _symbols, _count, optional_size, _flags = _COFF.unpack_from(head, coff)
    optional = coff + _COFF.size
    if optional_size < _LEAST_OPTIONAL or struct.unpack_from("<H", head, optional)[0] != _PE32_PLUS:
        raise UserError(f"{name}: is not a PE32+ file for 64-bit machines")
    table = optional + optional_size
    sections = [_section(head, table + index * _SECTION.size, name) for index in range(count)]
    file = PeFile(image, name, head[: struct.unpack_from("<I", head, optional + _HEADERS_SIZE)[0]], coff, sections)
    if file.word(_DIRECTORY_COUNT) < 5:
        raise UserError(f"{name}: has no entry for certificates in its data directories, so it cannot be signed")
    _check_order(file, table + count * _SECTION.size)
    return file


def _section(head: bytes, offset: int, name: str) -> Section:
    raw, virtual_size, address, size, place, *_ = _SECTION.unpack_from(head, offset)
    try:
        return Section(raw.rstrip(b"\0").decode("ascii"), virtual_size, address, size, place)
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: has a section with the name {raw!r}, which is not ASCII") from error


def _check_order(file: PeFile, table_end: int) -> None:
    """Checks that headers and sections follow each other without gaps up to the certificates or the end of the file."""
    for alignment in (file.word(_FILE_ALIGNMENT), file.word(_SECTION_ALIGNMENT)):
        if alignment <= 0 or alignment & (alignment - 1):
            raise UserError(f"{file.name}: has an alignment of {alignment} bytes, which is not a power of two")
    end, address = file.word(_HEADERS_SIZE), 0
    if table_end > end or len(file.head) < end:
        raise UserError(f"{file.name}: its headers are larger than {end} bytes, the size that they declare")
    for section in file.sections:
        if section.size and section.offset != end:
            raise UserError(f"{file.name}: the content of {section.name} is at {section.offset}, not at {end}")
        if section.address < address:
            raise UserError(f"{file.name}: the address of {section.name} overlaps the section before")
        end += section.size
        address = section.address + section.virtual_size
    offset, size = file.certificates
    if (end, file.image.size) != ((offset, offset + size) if size else (end, end)):
        raise UserError(f"{file.name}: its sections end at {end} of {file.image.size} bytes; there is more in it")


def add_sections(file: PeFile, contents: Sequence[tuple[str, Image]]) -> Image:
    """Returns a file with further sections, of data that is read only, in the given order.

    The content of a section that is there already, such as `.sbat`, is replaced. The time in the COFF header stays, so
    the same inputs give the same bytes. The checksum is 0: firmware does not use it.

    Args:
        file: the file.
        contents: names and contents of the sections.

    Raises:
        UserError: the headers have no room for another section, or a section none for its new content; or the file is
            signed, since its signature would not match any more.
    """
    if file.certificates[1]:
        raise UserError(f"{file.name}: is signed; take the file without a signature")
    head = bytearray(file.head)
    sections = list(file.sections)
    parts: list[tuple[int, Image]] = []
    end = file.image.size
    for name, content in contents:
        present = file.find(name)
        if present is not None:
            _replace(file, head, present, content)
            parts.append((present.offset, content.resized(present.size)))
            continue
        section = _next_section(file, sections, name, content, end)
        _write_entry(file, head, len(sections), section)
        parts.append((section.offset, content))
        sections.append(section)
        end = section.offset + section.size
    _write_totals(file, head, sections)
    replaced = sorted((offset, content.size) for offset, content in parts if offset < file.image.size)
    return Image.compose(end, [(0, Image.from_bytes(bytes(head))), *_kept(file, replaced), *parts])


def _kept(file: PeFile, replaced: Sequence[tuple[int, int]]) -> list[tuple[int, Image]]:
    """Returns the parts of a file after its headers that are not replaced."""
    kept, begin = [], len(file.head)
    for offset, size in [*replaced, (file.image.size, 0)]:
        if begin < offset:
            kept.append((begin, file.image.slice(begin, offset - begin)))
        begin = offset + size
    return kept


def _replace(file: PeFile, head: bytearray, section: Section, content: Image) -> None:
    index = file.sections.index(section)
    after = file.sections[index + 1].address if index + 1 < len(file.sections) else section.address + section.size
    room = min(section.size, after - section.address)
    if content.size > room:
        raise UserError(f"{file.name}: has room for {room} bytes in {section.name}, and {content.size} are needed")
    struct.pack_into("<I", head, _entry_offset(file, index) + 8, content.size)


def _next_section(file: PeFile, sections: Sequence[Section], name: str, content: Image, end: int) -> Section:
    last = sections[-1]
    address = _aligned(last.address + last.virtual_size, file.word(_SECTION_ALIGNMENT))
    size = _aligned(content.size, file.word(_FILE_ALIGNMENT))
    if len(name.encode()) > 8 or any(section.name == name for section in sections):
        raise UserError(f"{name}: is not the name of a new section: it is taken, or longer than 8 bytes")
    if address + size > 0xFFFFFFFF:
        raise UserError(f"{file.name}: with {name} it would be larger than 4 GiB, the largest PE file")
    return Section(name, content.size, address, size, end)


def _write_entry(file: PeFile, head: bytearray, index: int, section: Section) -> None:
    offset = _entry_offset(file, index)
    if offset + _SECTION.size > len(head):
        raise UserError(f"{file.name}: has no room for the section {section.name} in its headers of {len(head)} bytes")
    name = section.name.encode()
    values = (section.virtual_size, section.address, section.size, section.offset, 0, 0, 0, 0, _READABLE_DATA)
    _SECTION.pack_into(head, offset, name, *values)


def _write_totals(file: PeFile, head: bytearray, sections: Sequence[Section]) -> None:
    last, added = sections[-1], sections[len(file.sections) :]
    end = _aligned(last.address + last.virtual_size, file.word(_SECTION_ALIGNMENT))
    data = file.word(_INITIALIZED_DATA) + sum(section.size for section in added)
    struct.pack_into("<H", head, file.coff + 2, len(sections))
    for offset, value in ((_INITIALIZED_DATA, data), (_IMAGE_SIZE, end), (_CHECKSUM, 0)):
        struct.pack_into("<I", head, file.optional + offset, value)


def _entry_offset(file: PeFile, index: int) -> int:
    (size,) = struct.unpack_from("<H", file.head, file.coff + 16)
    return file.optional + int(size) + index * _SECTION.size


def _aligned(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
