import struct

import pefile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.pe.headers import read_pe
from tools.pe.writer import CODE, DATA, PAGE, WRITABLE_DATA, NewSection, efi_application
from tools.testing.oracles import ask

CODE_BYTES = b"\xc3" * 5000


def written(words=(), data=bytes(3 * PAGE)):
    sections = [
        NewSection(".text", Image.from_bytes(CODE_BYTES), CODE),
        NewSection(".data", Image.from_bytes(data), WRITABLE_DATA),
        NewSection(".sbat", Image.from_bytes(b"sbat"), DATA),
    ]
    image = efi_application(sections, PAGE + 16, words)
    return image.read(0, image.size)


def test_another_reader_finds_what_was_written():
    file = pefile.PE(data=written([3 * PAGE]), fast_load=True)
    assert not file.get_warnings()
    assert file.is_exe()
    assert file.FILE_HEADER.TimeDateStamp == 0
    assert file.OPTIONAL_HEADER.Subsystem == pefile.SUBSYSTEM_TYPE["IMAGE_SUBSYSTEM_EFI_APPLICATION"]
    assert file.OPTIONAL_HEADER.AddressOfEntryPoint == PAGE + 16
    assert file.OPTIONAL_HEADER.SizeOfImage == 8 * PAGE
    assert file.OPTIONAL_HEADER.SizeOfCode == 2 * PAGE
    text, data, sbat, relocations = file.sections
    assert text.get_data()[: text.Misc_VirtualSize] == CODE_BYTES
    assert text.IMAGE_SCN_MEM_EXECUTE
    assert not text.IMAGE_SCN_MEM_WRITE
    assert data.IMAGE_SCN_MEM_WRITE
    assert not data.IMAGE_SCN_MEM_EXECUTE
    assert not sbat.IMAGE_SCN_MEM_WRITE
    assert relocations.IMAGE_SCN_MEM_DISCARDABLE


def test_objdump_agrees(tmp_path):
    (tmp_path / "file").write_bytes(written([3 * PAGE, 3 * PAGE + 24, 5 * PAGE - 8]))
    text = ask("objdump", "-p", "-h", tmp_path / "file")
    assert "file format pei-x86-64" in text
    assert "(EFI application)" in text
    assert text.count("[3000] DIR64") == text.count("[3018] DIR64") == text.count("[4ff8] DIR64") == 1


def test_our_reader_takes_it_so_that_it_can_be_signed():
    image = Image.from_bytes(written())
    assert [section.name for section in read_pe(image, "file").sections] == [".text", ".data", ".sbat"]


@given(st.sets(st.integers(0, 3 * PAGE // 8 - 1), min_size=1), st.integers(0, 1 << 20))
def test_firmware_moves_the_words(places, pages):
    """As pefile applies the relocations for another address."""
    data = bytearray(3 * PAGE)
    for number in places:
        struct.pack_into("<Q", data, number * 8, number)
    file = pefile.PE(data=written([3 * PAGE + number * 8 for number in sorted(places)], bytes(data)))
    file.relocate_image(pages * PAGE)
    image = file.get_memory_mapped_image()[3 * PAGE : 6 * PAGE]
    for number in range(3 * PAGE // 8):
        expected = number + pages * PAGE if number in places else 0
        assert struct.unpack_from("<Q", image, number * 8) == (expected,)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ([("nine-char", b"x")], "nine-char: has a name of more than 8 bytes, or is empty"),
        ([(".text", b"")], ".text: has a name of more than 8 bytes, or is empty"),
        ([(f".{number}", b"x") for number in range(100)], "100 sections need headers of"),
    ],
)
def test_refuses(sections, message):
    with pytest.raises(UserError, match=message):
        efi_application([NewSection(name, Image.from_bytes(data), DATA) for name, data in sections], PAGE, [])
