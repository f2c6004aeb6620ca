import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standins.json5 import Json5Error, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_json_is_json5(value, indent, ascii_only):
    assert parse(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("// a\n{ /* b\n */ key: 1, 'a-b': [1, 2,], $c_1: {}, } // end", {"key": 1, "a-b": [1, 2], "$c_1": {}}),
        ("\"a 'b'\"", "a 'b'"),
        ("'a \"b\"'", 'a "b"'),
        ("'one\\\ntwo\\\r\nthree'", "onetwothree"),
        (r"'\n\t\'\"\\\q\0\x41\u00e9\ud83d\ude00'", "\n\t'\"\\q\0Aé😀"),
        (
            "[0x1F, +1, -2, .5, 5., 1e3, -0x10, Infinity, -Infinity]",
            [31, 1, -2, 0.5, 5, 1000, -16, math.inf, -math.inf],
        ),
        ("[null, true, false]", [None, True, False]),
        ("\ufeff 1", 1),
    ],
)
def test_what_json5_adds_to_json(text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a value, found the end"),
        ("{\na: 1,\na: 2}", "line 3: the key a is given twice, found ': 2}'"),
        ("{a 1}", "line 1: expected : after the key a, found '1}'"),
        ("{a: 1 b: 2}", "line 1: expected , or } after the value of a, found 'b: 2}'"),
        ("{a: {{ mark }}}", "line 1: expected a key, found '{ mark }}}'"),
        ("[1 2]", "line 1: expected , or ], found '2]'"),
        ("[,]", "line 1: expected a value, found ',]'"),
        ("{,}", "line 1: expected a key, found ',}'"),
        ("{} x", "line 1: expected the end of the text, found 'x'"),
        ("'a", "line 1: the string has no end, found the end"),
        ("'a\nb'", 'line 1: the string has no end, found "\\nb\'"'),
        (r"'\1'", 'line 1: not an escape sequence, found "1\'"'),
        (r"'\x4'", 'line 1: expected 2 hexadecimal digits after \\x, found "x4\'"'),
        ("012", "line 1: expected a value, found '012'"),
        ("1.2.3", "line 1: expected a value, found '1.2.3'"),
        ("nothing", "line 1: expected a value, found 'nothing'"),
        ("/* a", "line 1: expected a value, found '/* a'"),
    ],
)
def test_other_texts_are_errors_with_their_line(text, message):
    with pytest.raises(Json5Error) as error:
        parse(text)
    assert str(error.value) == message
