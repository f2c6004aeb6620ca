import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.fat.names import checksum, folded, long_entries, long_name, short_names, volume_label


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["GRUB.CFG"], ["GRUB    CFG"]),
        (["grub.cfg"], ["GRUB    CFG"]),
        (["BOOTX64.EFI", "grubx64.efi"], ["BOOTX64 EFI", "GRUBX64 EFI"]),
        (["A"], ["A          "]),
        (["vmlinuz-6.12", "vmlinuz-6.13"], ["VMLINU~112 ", "VMLINU~113 "]),
        (["a long name.config", "a long name.configuration"], ["ALONGN~1CON", "ALONGN~2CON"]),
        ([".bashrc", ".x", "x."], ["BASHRC~1   ", "X~1        ", "X~2        "]),
        (["a.b.c"], ["AB~1    C  "]),
        (["a+b.t,t", "Ä.Ö"], ["A_B~1   T_T", "_~1     _  "]),
        (["...x"], ["X~1        "]),
        (["+"], ["_~1        "]),
        (["longname~1", "longname~2", "LONGNA~1"], ["LONGNA~2   ", "LONGNA~3   ", "LONGNA~1   "]),
        (["with space.txt", "withsp~1.txt"], ["WITHSP~2TXT", "WITHSP~1TXT"]),
    ],
)
def test_short_names(names, short):
    assert short_names(names) == dict(zip(names, (name.encode() for name in short), strict=True))


def test_short_names_of_many_alike():
    names = [f"configuration file {number}.conf" for number in range(20000)]
    short = short_names(names)
    assert len(set(short.values())) == 20000
    assert short[names[8]] == b"CONFIG~9CON"
    assert short[names[9]] == b"CONFI~10CON"
    assert short[names[-1]] == b"CO~20000CON"


@given(st.lists(st.text(max_size=12), unique_by=folded, max_size=30))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_short_names_are_legal_and_differ(names):
    short = short_names(names)
    assert len(set(short.values())) == len(names)
    for name in short.values():
        assert len(name) == 11
        assert name[:1].strip()
        base, extension = name[:8].rstrip(), name[8:].rstrip()
        assert not set(base + extension) & set(b' "*+,./:;<=>?[\\]|abcdefghijklmnopqrstuvwxyz') - {0}
        assert all(byte >= 0x20 for byte in name)


def test_names_that_differ_in_case_only():
    assert folded("Grub.CFG") == folded("gRUB.cfg")
    assert folded("ÄÖ") == folded("äö")
    assert folded("ß") != folded("ss")
    assert folded("a") != folded("ä")


@pytest.mark.parametrize("name", ["a", " a", ".a", "x" * 255, "ä" * 255, "\N{PENGUIN}" * 127 + "x", "a;b=[c]+,'", "~"])
def test_long_names(name):
    assert long_name(name.encode()) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"\xff", "is not UTF-8"),
        (b"a\xed\xa0\x80", "is not UTF-8"),
        (b"a:b", "has the character ':', which is illegal in FAT"),
        (b"a\nb", r"has the character '\\n'"),
        (b'a"', "has the character '\"'"),
        (b"a*", "illegal"),
        (b"a?", "illegal"),
        (b"a<", "illegal"),
        (b"a|", "illegal"),
        (b"a\\b", "illegal"),
        (b"a/b", "illegal"),
        (b"\xef\xbf\xbf", "illegal"),
        (b"a.", "ends with a dot or a space"),
        (b"a ", "ends with a dot or a space"),
        (b".", "ends with a dot"),
        (b"", "ends with"),
        (b"x" * 256, "has 256 UTF-16 units, but FAT allows 255"),
        ("\N{PENGUIN}".encode() * 128, "has 256 UTF-16 units"),
    ],
)
def test_names_that_are_not_possible_in_fat(name, message):
    with pytest.raises(ValueError, match=message):
        long_name(name)


@pytest.mark.parametrize(
    ("name", "entries"),
    [("GRUB.CFG", 0), ("grub.cfg", 1), ("x" * 13, 1), ("x" * 14, 2), ("x" * 255, 20), ("\N{PENGUIN}" * 7, 2)],
)
def test_entries_of_a_long_name(name, entries):
    assert long_entries(name) == entries


def test_checksum():
    assert checksum(b"\1" + bytes(10)) == 1 << 6  # rotated right ten times by one bit
    assert checksum(bytes(10) + b"\1") == 1


@pytest.mark.parametrize("label", ["ESP", "A B", "12345678901", "NO_NAME", "~"])
def test_labels(label):
    assert volume_label(label) == label.encode().ljust(11)


@pytest.mark.parametrize("label", ["", "esp", "123456789012", " A", "A ", "A.B", "Ä", "A\n"])
def test_labels_that_are_not_possible_in_fat(label):
    with pytest.raises(ValueError, match=r"label .* is not one of 1 to 11 characters"):
        volume_label(label)
