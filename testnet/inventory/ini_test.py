import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testnet.inventory.ini import literal, parse
from tools.core.errors import UserError

TEXT = """\
# a comment
[nns]
a.0.0 ic_host="h1"   # the first
a.0.1 ic_host='h 2' node_index=1

[nodes:children]
nns

[physical_hosts:vars]
ic_cores=4
name="x y"
number='7'
"""


def test_groups_hosts_and_variables():
    groups = parse(TEXT, "hosts.ini")
    assert list(groups) == ["nns", "nodes", "physical_hosts"]
    first, second = groups["nns"].hosts
    assert (first.name, first.line, first.variables["ic_host"].value) == ("a.0.0", 3, "h1")
    assert {name: each.value for name, each in second.variables.items()} == {"ic_host": "h 2", "node_index": 1}
    assert [child.name for child in groups["nodes"].children] == ["nns"]
    assert groups["nodes"].hosts is None
    found = {name: each.value for name, each in groups["physical_hosts"].variables.items()}
    assert found == {"ic_cores": 4, "name": "x y", "number": "7"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.5", 1.5), ("True", True), ("true", "true"), ("yes", "yes"), ("h1", "h1"), ("[1]", "[1]"), ("", "")],
)
def test_values_are_literals_or_text(text, value):
    assert literal(text) == value
    assert type(literal(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n", "hosts.ini:1: 'a' is in no section"),
        ("[nns\n", "hosts.ini:1: '[nns' is not a section"),
        ("[nns:hosts]\n", "hosts.ini:1: '[nns:hosts]' is not a section"),
        ("[nns]\na\n[x]\n[nns]\n", "hosts.ini:4: the section [nns] is there already"),
        ("[a:vars]\nx=1\n[a:vars]\n", "hosts.ini:3: the section [a:vars] is there already"),
        ("[nns]\na b\n", "hosts.ini:2: a: expected KEY=VALUE, not 'b'"),
        ("[nns]\na[1:3]\n", "hosts.ini:2: 'a[1:3]' is not a name"),
        ("[nns]\na x=1 x=2\n", "hosts.ini:2: x is given twice, at first in line 2"),
        ("[nns]\na 1=2\n", "hosts.ini:2: '1' is not the name of a variable"),
        ('[nns]\na x="1\n', "hosts.ini:2: a quote is not closed"),
        ("[nodes:children]\nnns x=1\n", "hosts.ini:2: nns: a group has no variables here"),
        ("[a:vars]\nx\n", "hosts.ini:2: expected KEY=VALUE, not 'x'"),
        ("[a:vars]\nx=1 2\n", "hosts.ini:2: x: the value has a blank"),
    ],
)
def test_an_invalid_line_is_an_error_with_its_place(text, message):
    with pytest.raises(UserError) as error:
        parse(text, "hosts.ini")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@given(st.text(alphabet="[]:=ab .#;\"'\n1\\", max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(UserError):
        assert all(isinstance(group.line, int) for group in parse(text, "hosts.ini").values())
