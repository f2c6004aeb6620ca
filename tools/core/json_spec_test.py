"""Tests of specifications."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from tools.core.errors import UserError
from tools.core.json_spec import Size, read_spec


@dataclass
class Inner:
    name: str
    size: int = 0


@dataclass
class Outer:
    inner: list[Inner]
    kind: Literal["a", "b"] = "a"
    table: dict[str, Inner] = field(default_factory=dict)
    label: str | None = None
    ratio: float = 1.0
    flag: bool = False
    limit: Size = 0


def read(tmp_path, text):
    path = tmp_path / "spec.json"
    path.write_text(text)
    return read_spec(path, Outer)


def test_everything(tmp_path):
    text = '{"inner": [{"name": "x", "size": 3}], "kind": "b", "table": {"k": {"name": "y"}}, "ratio": 2, "flag": true}'
    expected = Outer([Inner("x", 3)], "b", {"k": Inner("y")}, None, 2.0, True)
    assert read(tmp_path, text) == expected


def test_null_is_as_good_as_nothing_where_it_may_be_nothing(tmp_path):
    assert read(tmp_path, '{"inner": [], "label": null}').label is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ('{"inner": [], "inner": []}', "inner: is given twice"),
        ('{"inner": [{"name": "x", "extra": 1}]}', r"extra: is not known here; known are name, size"),
        ("[]", r"must be an object, not \[\]"),
        ("{}", "inner: is missing"),
        ('{"inner": [{"size": 1}]}', r"inner\[0\]\.name: is missing"),
        ('{"inner": [{"name": 1}]}', r"inner\[0\]\.name: must be a string, not 1"),
        ('{"inner": [{"name": "x", "size": true}]}', r"inner\[0\]\.size: must be a whole number, not true"),
        ('{"inner": [{"name": "x", "sise": 1}]}', r"inner\[0\]\.sise: is not known here; did you mean size\?"),
        ('{"inner": [], "kind": "c"}', 'kind: must be one of a, b, not "c"'),
        ('{"inner": [], "table": {"k": null}}', r"table\.k: must be an object, not null"),
        ('{"inner": null}', "inner: must be a list, not null"),
        ('{"inner": [], "ratio": ' + "9" * 5000 + "}", "9{20}… is a number of 5000 digits; write at most 40"),
        ('{"inner": [], "ratio": ' + "9" * 400 + "}", "9{20}… is a number of 400 digits; write at most 40"),
        ('{"inner": [], "limit": "' + "9" * 5000 + 'T"}', "limit: must be a size in bytes such as 1048576 or 1M"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=r"spec\.json:.*" + message):
        read(tmp_path, text)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: cannot be read: No such file"):
        read_spec(tmp_path / "none.json", Outer)
