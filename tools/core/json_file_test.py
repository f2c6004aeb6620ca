"""Tests of reading JSON from outside."""

import contextlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.core.json_file import parse_json, read_json


def read(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_json(path)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, -2, 3.5, 1e30, True, None, 'é\n"[{'], "b": {"a": {}}, "c": [{"a": 1}, {"a": 2}]},
        [],
        "text",
        int("9" * 40),
        -int("9" * 40),
    ],
)
def test_values_are_those_of_json(tmp_path, value):
    assert read(tmp_path, json.dumps(value)) == value


SCALARS = st.none() | st.booleans() | st.integers(-(10**39), 10**39) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(SCALARS | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_any_value_comes_back(value):
    assert parse_json(json.dumps(value), "text") == value
    assert parse_json(json.dumps(value, ensure_ascii=False, indent=1), "text") == value


@given(VALUES, st.data())
def test_damage_is_an_error_of_one_kind(value, data):
    text = json.dumps(value)
    start = data.draw(st.integers(0, len(text)))
    damaged = text[:start] + data.draw(st.text('[]{}",:0-Ne\\ \n', max_size=3)) + text[start + 1 :]
    with contextlib.suppress(UserError):
        parse_json(damaged, "text")


def nested(levels):
    return '{"a": ' * (levels // 2) + "[" * (levels - levels // 2) + "]" * (levels - levels // 2) + "}" * (levels // 2)


def test_a_hundred_levels_can_be_read(tmp_path):
    assert json.dumps(read(tmp_path, nested(100))) == nested(100)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file.json:1: is not JSON: Expecting value, column 1"),
        (b'{\n "a": "\xff"}', "file.json:2: is not JSON: 0xff is not UTF-8"),
        (nested(101), "file.json:1: has more than 100 objects and lists within each other (column 351)"),
        ("\n\n" + "[" * 1_000_000, "file.json:3: has more than 100 objects and lists within each other (column 101)"),
        ('{"a": ' * 1_000_000, "file.json:1: has more than 100 objects and lists within each other (column 601)"),
        ('{"a": {"b": 1},\n "c": [{"b": 1}, {"b": 1,\n\n  "b": 2}]}', "file.json:4: b: is given twice (column 3)"),
        ('{"a": 1, "\\u0061": 2}', "file.json:1: a: is given twice (column 10)"),
        ('["' + "9" * 50 + '", 0.' + "9" * 50 + ",\n" + "9" * 5000 + "]", "a number of 5000 digits; write at most 40"),
        ('["NaN",\nNaN]', "file.json:2: is not JSON: NaN (column 1)"),
        ("[-Infinity]", "file.json:1: is not JSON: -Infinity (column 2)"),
    ],
)
def test_what_is_refused_is_named_with_its_place(tmp_path, content, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_line_of_a_long_number_is_not_that_of_a_long_fraction_or_text(tmp_path):
    with pytest.raises(UserError, match=r"file\.json:2: 9{20}… is a number"):
        read(tmp_path, '["' + "9" * 50 + '", 0.' + "9" * 50 + ",\n" + "9" * 5000 + "]")


def test_no_more_is_read_of_a_file_than_it_may_have(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('"' + "x" * 1022 + '"')
    assert read_json(path, most_bytes=1024) == "x" * 1022
    with pytest.raises(UserError, match=r"file\.json: is larger than 1023"):
        read_json(path, most_bytes=1023)
    with pytest.raises(UserError, match=r"/dev/zero: is larger than 1\.0M"):
        read_json("/dev/zero", most_bytes=1 << 20)


def test_memory_follows_the_file_and_not_the_limit(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("[1]")
    tracemalloc.start()
    try:
        assert read_json(path, most_bytes=1 << 40) == [1]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: cannot be read: No such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_json(tmp_path)
    with pytest.raises(UserError, match="cannot be read: embedded null"):
        read_json("a\0b")


def test_a_text_is_named_as_its_giver_names_it():
    assert parse_json("[1]", "--flag") == [1]
    with pytest.raises(UserError, match=r"^--flag:1: is not JSON: "):
        parse_json("[1", "--flag")


@pytest.mark.parametrize("content", ["[1", None])
def test_what_to_do_ends_the_message(tmp_path, content):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"file\.json.*; create it: make$"):
        read_json(path, advice="create it: make")
