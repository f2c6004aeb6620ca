import contextlib
import struct

import pefile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.pe.headers import add_sections, read_pe
from tools.testing.oracles import ask
from tools.testing.pe_files import SBAT, pe_file


def image(data):
    return Image.from_bytes(data)


def read(data):
    return read_pe(image(data), "file")


def whole(described):
    return described.read(0, described.size)


def contents(data):
    """Returns the names and contents of sections, as pefile reads them."""
    file = pefile.PE(data=data)
    # It finds many zeros suspicious.
    assert not [warning for warning in file.get_warnings() if not warning.startswith("Byte 0x00 makes up")]
    return {
        section.Name.rstrip(b"\0").decode(): section.get_data()[: section.Misc_VirtualSize] for section in file.sections
    }


NAMES = st.text(st.sampled_from("abcdefgh"), min_size=1, max_size=7).map(lambda text: f".{text}")


@given(st.dictionaries(NAMES, st.binary(min_size=1, max_size=5000), max_size=8), st.sampled_from([0x200, 0x1000]))
def test_another_reader_finds_the_sections(sections, alignment):
    stub = pe_file(alignment=alignment)
    made = whole(add_sections(read(stub), [(name, image(data)) for name, data in sections.items()]))
    assert contents(made) == {".text": b"\xc3", ".sbat": SBAT} | sections
    file, before = pefile.PE(data=made), pefile.PE(data=stub)
    assert file.OPTIONAL_HEADER.SizeOfImage % alignment == 0
    last = file.sections[-1]
    assert file.OPTIONAL_HEADER.SizeOfImage >= last.VirtualAddress + last.Misc_VirtualSize
    added = sum(section.SizeOfRawData for section in file.sections[2:])
    assert file.OPTIONAL_HEADER.SizeOfInitializedData == before.OPTIONAL_HEADER.SizeOfInitializedData + added
    assert all(section.VirtualAddress % alignment == 0 for section in file.sections)
    assert file.FILE_HEADER.TimeDateStamp == before.FILE_HEADER.TimeDateStamp
    assert [(each.name, each.offset) for each in read(made).sections] == [
        (section.Name.rstrip(b"\0").decode(), section.PointerToRawData) for section in file.sections
    ]


def test_objdump_reads_it(tmp_path):
    made = add_sections(read(pe_file()), [(".linux", image(b"k" * 700))])
    (tmp_path / "made").write_bytes(whole(made))
    said = ask("objdump", "-h", tmp_path / "made")
    assert ".linux        000002bc  0000000000003000" in said, said


def test_a_section_that_is_there_gets_new_content():
    more = SBAT + b"product,1\n"
    made = whole(add_sections(read(pe_file()), [(".new", image(b"n")), (".sbat", image(more))]))
    assert contents(made) == {".text": b"\xc3", ".sbat": more, ".new": b"n"}
    shorter = whole(add_sections(read(pe_file()), [(".sbat", image(b"s"))]))
    assert contents(shorter) == {".text": b"\xc3", ".sbat": b"s"}
    assert SBAT[1:] not in shorter


def test_symbols_for_debuggers_are_left_out():
    assert whole(read(pe_file(symbols=3)).image) == pe_file()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a PE file"),
        (b"MZ" + bytes(100), "is not a PE file"),
        (pe_file()[:0x90], "its headers are truncated"),
        (pe_file()[:-1], "there is more in it"),
        (pe_file() + b"more", "there is more in it"),
        (pe_file().replace(struct.pack("<H", 0x20B), struct.pack("<H", 0x10B), 1), "is not a PE32\\+ file"),
        (pe_file().replace(b".sbat\0\0\0", b".sb\xff\0\0\0\0", 1), "is not ASCII"),
        (pe_file()[:0x3C] + struct.pack("<I", 1 << 31) + pe_file()[0x40:], "its headers are truncated"),
    ],
)
def test_what_is_not_such_a_file(data, message):
    with pytest.raises(UserError, match=message):
        read(data)


@given(st.lists(st.tuples(st.integers(0, 0x3FF), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_headers_are_an_error_or_read(changes):
    data = bytearray(pe_file())
    for offset, value in changes:
        data[offset] = value
    with contextlib.suppress(UserError):
        assert read(whole(add_sections(read(bytes(data)), [(".new", image(b"n"))]))).find(".new")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            [(f".s{index}", b"x") for index in range(30)],
            "has no room for the section .s13 in its headers",
        ),
        ([(".sbat", b"x" * 513)], "has room for 512 bytes in .sbat, and 513 are needed"),
        ([(".a", b"x"), (".a", b"x")], ".a: is not the name of a new section"),
        ([(".too_long", b"x")], ".too_long: is not the name of a new section"),
    ],
)
def test_what_cannot_be_added(sections, message):
    with pytest.raises(UserError, match=message):
        add_sections(read(pe_file()), [(name, image(data)) for name, data in sections])
