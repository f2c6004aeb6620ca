import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.iso.names import file_identifiers, is_label, label_from


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["esp", "A_root"], ["ESP.IMG;1", "A_ROOT.IMG;1"]),
        (["", "é.x", "\N{PENGUIN}"], ["PARTITION.IMG;1", "__X.IMG;1", "_.IMG;1"]),
        (["a", "A", "a_2", "a"], ["A.IMG;1", "A_3.IMG;1", "A_2.IMG;1", "A_4.IMG;1"]),
        (["n" * 36, "n" * 35], ["N" * 27 + ".IMG;1", "N" * 25 + "_2.IMG;1"]),
    ],
)
def test_identifiers(names, expected):
    assert file_identifiers(names) == expected


@given(st.lists(st.text("aAb_2.é", max_size=36), max_size=128))
def test_identifiers_are_distinct_and_allowed(names):
    found = file_identifiers(names)
    assert len(set(found)) == len(names)
    for identifier in found:
        stem, extension = identifier.split(".")
        assert extension == "IMG;1"
        assert is_label(stem)
        assert len(stem) <= 27


def test_labels():
    assert label_from("disk-img.x") == "DISK_IMG_X"
    assert label_from("") == "PARTITION"
    assert label_from("l" * 40) == "L" * 32
    assert is_label("A_9")
    assert not is_label("a")
