"""Writes a PE file: an EFI application for 64-bit x86 machines, which firmware loads at any address.

See Microsoft's PE Format. The address 0 is that of the headers, which are loaded, too. There are no times.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tools.core.errors import UserError
from tools.image.extents import Image

PAGE = 0x1000
"""Alignment of sections in bytes, in the file and when it is loaded."""

CODE, DATA, WRITABLE_DATA, DISCARDABLE = 0x60000020, 0x40000040, 0xC0000040, 0x42000040
"""Characteristics of sections: code that is executed; data that is read, or written too; relocations."""

_X86_64, _PE32_PLUS, _EFI_APPLICATION = 0x8664, 0x20B, 10
_CHARACTERISTICS = 0x22E
"""IMAGE_FILE_EXECUTABLE_IMAGE, LARGE_ADDRESS_AWARE, and no line numbers, local symbols and debug information."""
_DOS_SIZE = 0x80
_COFF = struct.Struct("<4sHHIIIHH")
_OPTIONAL = struct.Struct("<HBBIIIIIQIIHHHHHHIIIIHHQQQQII")
_DIRECTORIES, _RELOCATIONS = 16, 5
_ENTRY = struct.Struct("<8sIIIIIIHHI")
_WORD_64 = 10 << 12  # IMAGE_REL_BASED_DIR64


@dataclass(frozen=True, slots=True)
class NewSection:
    """A section to write.

    Attributes:
        name: at most 8 bytes, such as `.text`.
        content: what is loaded.
        characteristics: one of the constants above.
    """

    name: str
    content: Image
    characteristics: int


def efi_application(sections: Sequence[NewSection], entry: int, words: Sequence[int]) -> Image:
    """Returns an EFI application.

    Args:
        sections: in the order of their addresses; the first is at PAGE, and each of the others on the next page.
        entry: address at which it is started.
        words: addresses of 8-byte words to which the firmware adds the address at which it loads the file, ascending.

    Raises:
        UserError: the headers have no room for so many sections, or a name is too long.
    """
    blocks = b"".join(_relocation_blocks(words))
    relocations = [NewSection(".reloc", Image.from_bytes(blocks), DISCARDABLE)] if words else []
    all_sections = [*sections, *relocations]
    entries, parts, address = b"", [], PAGE
    for section in all_sections:
        name, size = section.name.encode(), _aligned(section.content.size)
        if not 0 < len(name) <= 8 or not size:
            raise UserError(f"{section.name}: has a name of more than 8 bytes, or is empty")
        entries += _ENTRY.pack(name, section.content.size, address, size, address, 0, 0, 0, 0, section.characteristics)
        parts.append((address, section.content))
        address += size
    begin = address - _aligned(len(blocks)) if words else 0
    head = _head(all_sections, entry, (begin, len(blocks))) + entries
    if len(head) > PAGE:
        raise UserError(f"{len(all_sections)} sections need headers of {len(head)} bytes; there is room for {PAGE}")
    return Image.compose(address, [(0, Image.from_bytes(head)), *parts])


def _head(sections: Sequence[NewSection], entry: int, relocations: tuple[int, int]) -> bytes:
    """Returns all headers before the table of sections."""
    sizes = [(section.characteristics == CODE, _aligned(section.content.size)) for section in sections]
    code, data = (sum(size for is_code, size in sizes if is_code == wanted) for wanted in (True, False))
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", _DOS_SIZE)
    coff = _COFF.pack(b"PE\0\0", _X86_64, len(sections), 0, 0, 0, _OPTIONAL.size + 8 * _DIRECTORIES, _CHARACTERISTICS)
    optional = _OPTIONAL.pack(
        *(_PE32_PLUS, 0, 0, code, data, 0, entry, PAGE, 0, PAGE, PAGE),
        *(0, 0, 0, 0, 0, 0, 0, PAGE + code + data, PAGE, 0, _EFI_APPLICATION, 0),
        *(0x10000, 0x10000, 0x10000, 0x10000, 0, _DIRECTORIES),
    )
    directories = [(0, 0)] * _DIRECTORIES
    directories[_RELOCATIONS] = relocations
    return dos.ljust(_DOS_SIZE, b"\0") + coff + optional + b"".join(struct.pack("<II", *each) for each in directories)


def _relocation_blocks(words: Sequence[int]) -> Iterator[bytes]:
    """Yields a block of relocations for each page."""
    for page, group in groupby(words, lambda word: word // PAGE * PAGE):
        entries = b"".join(struct.pack("<H", _WORD_64 | word - page) for word in group)
        entries += bytes(-len(entries) % 4)
        yield struct.pack("<II", page, 8 + len(entries)) + entries


def _aligned(value: int) -> int:
    return -(-value // PAGE) * PAGE
