import pytest

from tools.buildfiles.values import Args, Depset, File, Label, Provider, Struct, Target, select
from tools.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("//a/b:c", "//a/b:c"),
        ("//a/b", "//a/b:b"),
        (":c", "//here:c"),
        ("c/d.txt", "//here:c/d.txt"),
        ("//:c", "//:c"),
        ("@repo//:c", "@repo//:c"),
        ("@@repo//a:c", "@repo//a:c"),
        ("@//a:c", "//a:c"),
    ],
)
def test_labels(text, label):
    assert str(Label.parse(text, "", "here")) == label


@pytest.mark.parametrize("text", ["", "//", "@repo//", "a:b:c", "a:b"])
def test_what_is_no_label_is_refused(text):
    with pytest.raises(UserError, match="is not a label"):
        Label.parse(text, "", "here")


def test_a_label_in_another_repository_stays_there():
    assert str(Label.parse("//a:b", "other", "here")) == "@other//a:b"


def test_depsets_have_each_value_once_and_inner_ones_first():
    inner = Depset(["a", "b"])
    assert Depset(["c", "a"], [inner, Depset(["b", "d"], [inner])]).to_list() == ["a", "b", "d", "c"]
    assert Depset().to_list() == []


def test_a_select_is_resolved_late():
    value = ["a"] + select({"//c:x": ["x"], "//conditions:default": ["d"]}) + ["b"]  # noqa: RUF005 - as BUILD files do
    assert value.resolve(lambda condition: condition == "//c:x") == ["a", "x", "b"]
    assert value.resolve(lambda condition: False) == ["a", "d", "b"]
    merged = {"a": 1} | select({"//conditions:default": {"b": 2}})
    assert merged.resolve(lambda condition: False) == {"a": 1, "b": 2}
    with pytest.raises(UserError, match="select: none of //c:x holds"):
        select({"//c:x": 1}).resolve(lambda condition: False)


def test_arguments():
    args, file = Args(), File("/root/a", Label("", "", "a"), "a")
    args.add("--flag", file)
    args.add(3, format="--number=%s")
    args.add_all(Depset(["a", "b"]), format_each="--each=%s")
    args.add_all("--empty", [])
    args.add_all("--some", [file], before_each="-b")
    assert args.words == ["--flag", "/root/a", "--number=3", "--each=a", "--each=b", "--some", "-b", "/root/a"]
    for value in (True, None, ["a"], Struct()):
        with pytest.raises(UserError, match="an action's argument cannot be"):
            args.add(value)


def test_providers_and_targets():
    info = Provider(fields=["value"], name="Info")
    target = Target(Label("", "a", "b"), [info(value=1)])
    assert info in target
    assert target[info].value == 1
    assert target.files() == []
    assert not hasattr(target[info], "other")
    with pytest.raises(UserError, match="//a:b: gives no Other"):
        target[Provider(name="Other")]
    with pytest.raises(UserError, match="Info: has no field other"):
        info(other=1)
