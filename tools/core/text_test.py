import pytest

from tools.core.text import escaped, human_size


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"plain", "plain"),
        ("ä b".encode(), "ä b"),
        (b"a\nb\t\x1b[31m\x7f", "a\\nb\\t\\x1b[31m\\x7f"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("a\udcff", "a\\xff"),
        ("\x9b2J", "\\x9b2J"),
    ],
)
def test_escaped(name, expected):
    assert escaped(name) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (1025, "1.1K"),
        (4 << 20, "4.0M"),
        (10 << 20, "10M"),
        ((10 << 20) + 1, "11M"),
        (1023 << 10, "1023K"),
        ((1023 << 10) + 1, "1.0M"),
        (50 << 30, "50G"),
        (3 << 40, "3.0T"),
    ],
)
def test_human_size(size, expected):
    assert human_size(size) == expected
