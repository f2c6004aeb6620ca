"""Tests parsing the text format of protocol buffers."""

import pytest

from dev.reference.textproto import parse
from tools.core.errors import UserError


def test_message():
    message = parse('name: "x"\ninner {\n  type: LABEL\n  mandatory: true\n}\ninner { count: 3 }\n', "m")
    assert message.text("name") == "x"
    assert [inner.text("type") for inner in message.messages("inner")] == ["LABEL", ""]
    assert message.message("inner").text("count") == "3"
    assert message.text("other") == ""
    assert message.messages("other") == []


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (r'"a\nb"', "a\nb"),
        (r'"\"quoted\" and \'single\'"', "\"quoted\" and 'single'"),
        (r'"back\\slash"', "back\\slash"),
        (r'"\303\251\x41"', "éA"),
        (r'"\\n"', "\\n"),
        ('"{ } : #"', "{ } : #"),
    ],
)
def test_strings(literal, text):
    assert parse(f"name: {literal}", "m").text("name") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {\n b: 1\n", "m: ends within a message"),
        ("a: 1\n}", "m:2: '}' is not a field"),
        ("a: 1\nb: }", "m:2: b: has no value"),
        ("a: 1\n\nb", "m:3: 'b' is not a field"),
        ('a: "open\n', "m:1: is not a valid message: '\"open'"),
    ],
)
def test_errors(text, message):
    with pytest.raises(UserError, match=message.replace("}", r"\}")):
        parse(text, "m")
