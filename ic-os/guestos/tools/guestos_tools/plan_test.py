import json

import pytest

from guestos_tools.plan import Action, fill, read_plan

VALUES = {
    "version": ["1.2"],
    "packages:base": ["/p/a.deb", "/p/b.deb"],
    "executables:replica": ["/x/replica"],
    "update_keys:*": ["/k/one.pem", "/k/two.pem"],
    "a/b.csv": ["/work/a/b.csv"],
    "password": ["${version}*"],
}


def filled(value):
    return fill(value, lambda name: VALUES.get(name, []))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${version}\n", "1.2\n"),
        ("as it is", "as it is"),
        (["--deb=${packages:base}", "--x"], ["--deb=/p/a.deb", "--deb=/p/b.deb", "--x"]),
        (["--key=${signing_key:*}", "--x"], ["--x"]),
        ({"layout": "${a/b.csv}", "signature": "${missing}"}, {"layout": "/work/a/b.csv"}),
        ([{"path": "x", "source": "${executables:other}"}], []),
        (
            [{"mode": None, "path": "x", "source": "${executables:replica}"}],
            [{"mode": None, "path": "x", "source": "/x/replica"}],
        ),
        (
            [{"path": "keys/*", "source": "${update_keys:*}", "size": 1}],
            [
                {"path": "keys/one.pem", "source": "/k/one.pem", "size": 1},
                {"path": "keys/two.pem", "source": "/k/two.pem", "size": 1},
            ],
        ),
        ([{"path": "doc/*", "source": "${a/b.csv}"}], [{"path": "doc/*", "source": "/work/a/b.csv"}]),
        (
            [{"name": "a", "root_hash": "${a/b.csv}", "parts": [{"image": "${missing}"}, {"image": "${version}"}]}],
            [{"name": "a", "root_hash": "/work/a/b.csv", "parts": [{"image": "1.2"}]}],
        ),
        (
            [{"image": "${version}", "gz": "${a/b.csv}", "offset": 0}],
            [{"image": "1.2", "gz": "/work/a/b.csv", "offset": 0}],
        ),
        (
            {"accounts": {"passwords": {"root": "${password}"}, "sysusers": []}},
            {"accounts": {"passwords": {"root": "${version}*"}, "sysusers": []}},
        ),
        ({"journal": True, "size": 5, "none": None}, {"journal": True, "size": 5, "none": None}),
    ],
)
def test_references_are_filled_in(value, expected):
    assert filled(value) == expected


def test_actions_name_what_they_refer_to():
    action = Action(mnemonic="M", outputs=["o"], spec={"a": ["${b}", {"c": "x${d:*}y${b}"}], "e": 1})
    assert action.references() == ["b", "d:*"]
    assert Action(mnemonic="M", outputs=["o"], arguments=["--x=${y}"]).references() == ["y"]
    assert Action(mnemonic="M", outputs=["o"], content="${version}").references() == ["version"]


def test_a_plan_is_read(tmp_path):
    actions = [
        {"mnemonic": "FileWrite", "outputs": ["a"], "content": "x"},
        {"distributions": ["one"], "mnemonic": "M", "module": "m.n", "outputs": ["b", "c"], "arguments": []},
        {"distributions": ["two"], "mnemonic": "M", "outputs": ["b", "c"], "spec": {"parts": [{"x": {"list": "l"}}]}},
    ]
    content = {"about": "", "locks": {}, "wheels": [], "programs": {"p": "m.p"}, "lists": {"l": ["${a}", "y"]}}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(content | {"actions": actions}))
    plan = read_plan(path)
    assert plan.programs == {"p": "m.p"}
    one, two = (plan.by_output(distribution) for distribution in ("one", "two"))
    assert list(one) == list(two) == ["a", "b", "c"]
    assert one["a"] is two["a"]
    assert one["b"] is one["c"]
    assert (one["b"].spec, two["b"].spec) == (None, {"parts": [{"x": ["${a}", "y"]}]})
    assert two["b"].references() == ["a"]
