"""What documents say of the repository is checked, and nothing else that they say."""

from pathlib import Path, PurePosixPath

import pytest

from dev.lint.documents import Checkout, faults, main

BUILD = 'disk(\n    name = "a",\n)\n\ndisk(\n    name = "b",\n    size = 1,\n)\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for path in ("README.md", "tools/gpt/layout.py", "doc/guide.md", "examples/a/BUILD.bazel", "examples/a/files/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "examples/a/BUILD.bazel").write_text(BUILD)
    return Checkout(tmp_path)


def found(checkout: Checkout, text: str, document: str = "README.md") -> list[str]:
    return list(faults(PurePosixPath(document), text, checkout))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[a](tools/gtp)", "README.md:1: the link to tools/gtp leads nowhere"),
        ("\n![a](doc/a.png)", "README.md:2: the link to doc/a.png leads nowhere"),
        ("[a](doc/gide.md#part)", "README.md:1: the link to doc/gide.md#part leads nowhere"),
        ("[`a`](tools/gtp)", "README.md:1: the link to tools/gtp leads nowhere"),
        ("link:doc/a.adoc[a]", "README.md:1: the link to doc/a.adoc leads nowhere"),
        ("image::doc/a.png[a]", "README.md:1: the link to doc/a.png leads nowhere"),
        ("in `tools/gpt/lay.py`", "README.md:1: there is no tools/gpt/lay.py"),
        ("in `tools/gtp/`", "README.md:1: there is no tools/gtp/"),
        ("a\n\n    ./tools/run.sh --help", "README.md:3: there is no ./tools/run.sh"),
        ("```sh\ncat tools/run.sh\n```", "README.md:2: there is no tools/run.sh"),
        ("`bazel test //tools/gtp/...`", "README.md:1: there is no package //tools/gtp"),
        ('load("@rules_icos//tools/defs:a.bzl")', "README.md:1: there is no package //tools/defs"),
        ("`--//doc/flags:version=1`", "README.md:1: there is no package //doc/flags"),
    ],
)
def test_what_is_not_there(checkout: Checkout, text: str, fault: str) -> None:
    assert found(checkout, text) == [fault]


@pytest.mark.parametrize(
    "text",
    [
        "[a](tools/gpt) [b](doc/guide.md#part) [c](#here) [d](https://example.com/tools/x)",
        "`tools/gpt/layout.py`, `tools/gpt/`, `./tools/gpt`, `doc/guide.md`",
        "`defs/private/NAME.bzl` `tools/NAME.py` `and/or` `/tools/x` `2/3` `$HOME/tools`",
        "`bazel test //...` `//tools/...` `//tools/gpt:layout` `@rules_pkg//tools/x` https://tools/x",
        "    tar -xf bazel-bin/tools/x.tar artifacts/release/x",
        "a link is `[text](path)`; [`code`](tools/gpt)",
        "tools/no/code and tools/x in plain text",
    ],
)
def test_what_is_there_or_means_something_else(checkout: Checkout, text: str) -> None:
    assert found(checkout, text) == []


def test_paths_are_relative_to_a_folder_of_the_document(checkout: Checkout) -> None:
    text = "[a](files/x) `examples/a/files/x` [b](../../doc/guide.md) `//files:x`"
    assert found(checkout, text, "examples/a/README.md") == []
    assert found(checkout, "[a](examples/a/files/x)", "examples/a/README.md") != []


def excerpt(*lines: str, source: str = "From [examples/a/BUILD.bazel](examples/a/BUILD.bazel):") -> str:
    return "\n".join([source, "", "```starlark", *lines, "```", ""])


def test_excerpt(checkout: Checkout) -> None:
    assert found(checkout, excerpt("disk(", '    name = "b",', "    size = 1,", ")")) == []
    assert found(checkout, excerpt(*BUILD.splitlines())) == []
    assert found(checkout, excerpt("anything()", source="A sketch:")) == []


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["disk(", '    name = "c",', ")"], 4),
        (["disk(", '    name = "a",', ")", "", "disk(", ")"], 8),
        (["disk", '    name = "b",', "    size = 1,", ")"], 4),
    ],
)
def test_altered_excerpt(checkout: Checkout, lines: list[str], number: int) -> None:
    assert found(checkout, excerpt(*lines)) == [
        f"README.md:{number}: is not in examples/a/BUILD.bazel as it stands here"
    ]


def test_excerpt_of_no_file(checkout: Checkout) -> None:
    faulty = found(checkout, excerpt("disk(", source="From `examples/b/BUILD.bazel`:"))
    assert faulty == [
        "README.md:1: there is no examples/b/BUILD.bazel",
        "README.md:4: is not in examples/b/BUILD.bazel as it stands here",
    ]


def test_command(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(checkout.root)
    (checkout.root / "doc/guide.md").write_text("[a](a.md)\n")
    assert main(["README.md", "doc/guide.md"]) == 1
    assert capsys.readouterr().err == "doc/guide.md:1: the link to a.md leads nowhere\n"
    assert main(["README.md"]) == 0
