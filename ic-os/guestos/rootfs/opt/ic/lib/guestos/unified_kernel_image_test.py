import struct

import pytest

from guestos.errors import ImageError
from guestos.unified_kernel_image import arguments

_HEAD = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 64) + b"PE\0\0"


def image(*sections):
    """Returns a PE file with names and contents of sections, each padded to 512 bytes."""
    place = 0x400
    table, contents = b"", b""
    for name, content in sections:
        padded = content.ljust(-(-len(content) // 512) * 512, b"\0")
        table += struct.pack("<8sIIII16x", name, len(content), 0x1000, len(padded), place + len(contents))
        contents += padded
    coff = struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 240, 0)
    return (_HEAD + coff + bytes(240) + table).ljust(place, b"\0") + contents


def test_the_arguments_of_the_section():
    data = image((b".text", b"dfinity.root_hash=0"), (b".cmdline", b"quiet dfinity.root_hash=00ff"), (b".linux", b"k"))
    assert arguments(data) == ["quiet", "dfinity.root_hash=00ff"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a complete PE file"),
        (b"MZ", "is not a complete PE file"),
        (bytes(4096), "is not a PE file"),
        (_HEAD, "is not a complete PE file"),
        (image((b".cmdline", b"quiet"))[:350], "is not a complete PE file"),
        (image(), "has 0 command lines"),
        (image((b".linux", b"k")), "has 0 command lines"),
        (image((b".cmdline", b"a"), (b".cmdline", b"b")), "has 2 command lines"),
    ],
)
def test_what_has_not_one_command_line_is_refused(data, message):
    with pytest.raises(ImageError, match=message):
        arguments(data)


def test_a_place_beyond_the_end_has_no_arguments():
    data = bytearray(image((b".cmdline", b"quiet")))
    assert arguments(bytes(data[:0x400])) == []
